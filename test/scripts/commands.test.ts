/**
 * The command line as its users meet it: `node scripts/penstock.ts …` in a process of its own, beside a database that others
 * use as well. What does not depend on each other runs at once, because starting takes longer than all else.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, References, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { dataRecord } from "../stream/rawDocuments.ts"
import { type Environment, jsonLines, runCommand, startCommand } from "../support/runCommand.ts"
import { byName } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const runWith = (env: Environment, ...args: ReadonlyArray<string>) =>
  Effect.map(runCommand(env, ...args), ({ code, err, out }) => ({ out, err, code }))

/** On the database of this file. */
const penstock = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(TestDatabase, ({ url }) => runWith({ DATABASE_URL: url }, ...args))

const atOnce = { concurrency: 3 } as const

const asked = (line: string) => penstock(...line.split(" "))

const succeeded = (out: string) => ({ out, err: "", code: 0 })
const failed = (err: string) => ({ out: "", err: `${err}\n`, code: 1 })
const misused = (err: string) => ({ out: "", err: `${err}\n`, code: 2 })

const services = Layer.mergeAll(
  TestDatabase.layer,
  AdapterSimulator.layer({ points: 20, seed: 5 }),
  NodeServices.layer,
  Layer.succeed(References.MinimumLogLevel, "Error")
)

layer(services, { excludeTestServices: true })("penstock source", (it) => {
  const url = "https://hilltop.example.nz/data.hts"

  it.effect("adds a source and prints its id alone", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration, problem, paused)
        VALUES (3, ${url}, '{}', 'measurementNames is missing', true)`
      const wanted = ["--measurement", "Water Meter Volume", "--measurement", "Flow", "--exclude", "Old Bore"]
      const pace = ["--rate", "2.5", "--concurrent", "2"]
      const added = yield* penstock("source", "add", "--council", "9", "--url", url, ...wanted, ...pace)
      const rows =
        yield* sql`SELECT id, council_id, hts_url, configuration, paused FROM hilltop_sources WHERE council_id = 9`
      const configuration = {
        measurementNames: ["Water Meter Volume", "Flow"],
        excludedSitesNames: ["Old Bore"],
        requestsPerSecond: 2.5,
        maxConcurrent: 2
      }
      assert.deepStrictEqual(rows, [{ id: 2, council_id: 9, hts_url: url, configuration, paused: false }])
      assert.deepStrictEqual(added, succeeded("2\n"))
    })
  )

  it.effect("says by its flag what is wrong with a source, and adds none", () =>
    Effect.gen(function* () {
      const [twice, faulty] = yield* Effect.all(
        [
          asked(`source add --council 9 --url ${url} --measurement Flow`),
          asked("source add --council -1 --url ftp://x --measurement Flow --rate 0 --concurrent 0")
        ],
        atOnce
      )
      assert.deepStrictEqual(twice, failed("Council 9 has a source with this address already."))
      assert.deepStrictEqual(
        faulty,
        misused(
          [
            "--council: Expected a value between 0 and 2147483647",
            "--url: must be an http:// or https:// address",
            "--rate: must be from 0.00001 to 10000",
            "--concurrent: must be from 1 to 10000"
          ].join("\n")
        )
      )
    })
  )

  it.effect("pauses and resumes, one with a faulty configuration as well", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [paused, resumed, unknown] = yield* Effect.all(
        [asked("source pause 2"), asked("source resume 1"), asked("source pause 999999999999")],
        atOnce
      )
      assert.deepStrictEqual(paused, succeeded("Source 2 is paused. Its tasks and data are kept.\n"))
      assert.strictEqual(resumed.out, "Source 1 is asked again.\nIt had a problem: measurementNames is missing\n")
      const told = "There is no source 999999999999. `penstock source list` shows them."
      assert.deepStrictEqual(unknown, failed(told))
      assert.deepStrictEqual(yield* sql`SELECT id, paused FROM hilltop_sources ORDER BY id`, [
        { id: 1, paused: false },
        { id: 2, paused: true }
      ])
    })
  )

  it.effect("lists all of them with their tasks, for people and for programs", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
        VALUES (1, 'SITES_LIST', 'https://x/1', now()), (1, 'SITES_LIST', 'https://x/2', now() + interval '1 hour'),
          (2, 'SITES_LIST', 'https://x/3', now()), (1, 'SITES_LIST', 'https://x/held', now()), (1, 'SITES_LIST', 'https://x/lost', now())`
      yield* sql`
        INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
        SELECT id, origin, next_fetch_at, now() + CASE fetch_url WHEN 'https://x/held' THEN interval '1 hour' ELSE '-1 hour' END
        FROM hilltop_fetch_tasks WHERE fetch_url IN ('https://x/held', 'https://x/lost')`
      const [table, json] = yield* Effect.all([asked("source list"), asked("source list --json")], atOnce)
      assert.deepStrictEqual(
        table,
        succeeded(
          [
            "id  council  url                                  paused  tasks  due  problem",
            " 1        3  https://hilltop.example.nz/data.hts  no          4    2  measurementNames is missing",
            " 2        9  https://hilltop.example.nz/data.hts  yes         1    0  –",
            ""
          ].join("\n")
        )
      )
      const shown = jsonLines(json.out).map(({ configuration, due, id, problem, tasks }) => ({
        id,
        configuration,
        problem,
        tasks,
        due
      }))
      const problem = "measurementNames is missing"
      assert.deepStrictEqual(shown[0], { id: 1, configuration: {}, problem, tasks: 4, due: 2 })
    })
  )
})

layer(services, { excludeTestServices: true })("penstock task", (it) => {
  it.effect("lists tasks by source, type and status", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const history = JSON.stringify([{ at: "2026-11-21T00:00:00Z", result: "HILLTOP_ERROR", detail: "No data" }])
      yield* sql`
        INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (9, 'https://h/a.hts', '{}'), (9, 'https://h/b.hts', '{}')`
      yield* sql`
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, attempts, set_aside_at, previous_history)
        VALUES (1, 'SITES_LIST', 'https://h/a.hts?1', now() + interval '1 hour', 0, NULL, '[]'),
          (1, 'MEASUREMENT_DATA', 'https://h/a.hts?2', '2100-01-02T03:04:05Z', 4, now(), ${history}::jsonb),
          (2, 'SITES_LIST', 'https://h/b.hts?3', now(), 0, NULL, '[]')`
      const [aside, sites] = yield* Effect.all(
        [asked("task list --status set_aside"), asked("task list --source 1 --type SITES_LIST --limit 1 --json")],
        atOnce
      )
      const row =
        "2       1  MEASUREMENT_DATA  set_aside  2100-01-02 03:04:05         4  HILLTOP_ERROR  –         https://h/a.hts?2"
      assert.strictEqual(aside.out.split("\n")[1]?.trim(), row)
      assert.deepStrictEqual(
        jsonLines(sites.out).map((task) => [task["id"], task["status"], task["history"]]),
        [[1, "scheduled", []]]
      )
    })
  )

  it.effect("makes one due that was set aside", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* asked("task run 2"), succeeded("Task 2 is due now.\n"))
      assert.deepStrictEqual(
        yield* sql`SELECT set_aside_at, next_fetch_at <= now() AS due FROM hilltop_fetch_tasks WHERE id = 2`,
        [{ set_aside_at: null, due: true }]
      )
    })
  )
})

layer(services, { excludeTestServices: true })("penstock sync", (it) => {
  const withSettings = Effect.fnUntraced(function* (
    settings: Readonly<Record<string, string>>,
    ...args: ReadonlyArray<string>
  ) {
    const { apiKey, url } = yield* AdapterSimulator
    const database = yield* TestDatabase
    return yield* runWith(
      { DATABASE_URL: database.url, ADAPTER_URL: byName(url), ADAPTER_API_KEY: apiKey, ...settings },
      ...args
    )
  })
  const withAdapter = (...args: ReadonlyArray<string>) => withSettings({ SYNC_BATCH_SIZE: "3" }, ...args)

  it.effect("syncs one batch at once and says what became of it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const world = yield* AdapterSimulator
      for (let index = 0; index < 5; index++) {
        yield* sql`INSERT INTO flex.accounting_point (business_id) VALUES (${(yield* world.point(index)).gsrn})`
      }
      yield* sql`UPDATE flex.accounting_point_sync SET relevant = true`
      const pass = yield* withAdapter("sync", "run")
      const counts = "3 changed, 0 unchanged, 0 superseded, 0 failed, 0 given back"
      assert.deepStrictEqual(pass, succeeded(`3 claimed of 5 relevant: ${counts}\n`))
      const instances = yield* sql`SELECT id FROM penstock_instances`
      assert.deepStrictEqual(instances, [], "it does not count as an instance")
    })
  )

  it.effect("refreshes one accounting point, if it is kept here", () =>
    Effect.gen(function* () {
      const world = yield* AdapterSimulator
      const { gsrn } = yield* world.point(0)
      yield* world.change(gsrn, { kind: "switch" })
      const changed = yield* withAdapter("sync", "run", "--gsrn", gsrn)
      assert.deepStrictEqual(changed, succeeded("changed\n"))
      const [elsewhere, person, alone] = yield* Effect.all(
        [
          withAdapter("sync", "run", "--gsrn", gsrnOf(4711)),
          withAdapter("sync", "run", "--gsrn", "01010112345"),
          penstock("sync", "run", "--gsrn", gsrn)
        ],
        atOnce
      )
      assert.deepStrictEqual(elsewhere, failed("No accounting point with this GSRN is kept here."))
      const rule = "--gsrn must be a GSRN: 18 digits, the first not 0, the last its check digit"
      assert.deepStrictEqual(person, misused(rule), "what was typed is not repeated")
      assert.deepStrictEqual(alone, failed("ADAPTER_URL is not set: there is nobody to ask."))
    })
  )

  it.effect("counts what is fresh, late, pending and failing, and the instances that are alive", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        UPDATE flex.accounting_point_sync SET last_synced_at = now() - interval '25 hours', last_event_at = now() - interval '90 seconds'
        WHERE accounting_point_id = 1`
      yield* sql`
        UPDATE flex.accounting_point_sync SET failures = 2, last_error = 'invalid', next_attempt_at = now()
        WHERE accounting_point_id = 4`
      yield* sql`
        INSERT INTO penstock_instances (id, roles, seen_at) VALUES (gen_random_uuid(), '{sync,crawl}', now()),
          (gen_random_uuid(), '{sync}', now() - interval '1 minute')`
      const [table, json] = yield* Effect.all([asked("sync status"), asked("sync status --json")], atOnce)
      const [counts = {}] = jsonLines(json.out)
      const { instances, longest_unsynced_seconds, oldest_pending_seconds, ...rest } = counts
      assert.deepStrictEqual(rest, {
        kept: 5,
        relevant: 5,
        never_synced: 2,
        late: 1,
        pending_events: 1,
        running: 0,
        failing: { invalid: 1 }
      })
      assert.closeTo(Number(longest_unsynced_seconds), 90_000, 60)
      assert.closeTo(Number(oldest_pending_seconds), 90, 60)
      assert.isTrue(Array.isArray(instances) && instances.length === 1)
      assert.match(table.out, /^relevant +5 +the longest unsynced for 1d 1h/m)
      assert.match(table.out, /^failing +1 +1 invalid$/m)
      assert.match(table.out, /^instances alive +1 +sync\+crawl for /m)
      assert.notMatch(table.out + json.out, /[0-9]{9}/, "counts, never whose they are")
    })
  )

  it.effect("asks the adapter no faster than its rate, and waits for its turn", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const pass = yield* withSettings({ SYNC_BATCH_SIZE: "5", ADAPTER_RATE: "2" }, "sync", "run")
      assert.match(pass.out, /^5 claimed of 5 relevant: .* 0 failed, 0 given back$/m)
      const [asked] = yield* sql<{ seconds: number }>`
        SELECT extract(epoch FROM max(last_synced_at) - min(last_synced_at))::float8 AS seconds
        FROM flex.accounting_point_sync WHERE last_synced_at > now() - interval '1 hour' AND relevant`
      assert.isAbove(asked!.seconds, 1.5)
    })
  )
})

layer(services, { excludeTestServices: true })("penstock topic replay", (it) => {
  it.effect("brings back what the documents say, and says how many it read", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const rows = [["2026-01-01T00:00:00", "1.50"]] as const
      const record = dataRecord({
        councilId: 1,
        at: Date.UTC(2026, 1, 1),
        siteName: "Awa",
        measurementName: "Flow",
        rows
      })
      const records = [record, { ...record, value: "nonsense" }]
      for (const [offset, { key, partition, topic, value }] of records.entries()) {
        yield* sql`
          INSERT INTO topic_partitions (topic, partition, next_offset) VALUES (${topic}, ${partition}, 1)
          ON CONFLICT (topic, partition) DO UPDATE SET next_offset = topic_partitions.next_offset + 1`
        yield* sql`
          INSERT INTO topic_records (topic, partition, "offset", key, value)
          VALUES (${topic}, ${partition}, ${offset}, ${key}, ${value})`
      }
      const replayed = yield* asked("topic replay")
      assert.deepStrictEqual([replayed.code, replayed.out], [0, "Rebuilt the observations: 2 documents read.\n"])
      assert.match(replayed.err, /^Reads hilltop_raw from its beginning\.$/m)
      assert.deepStrictEqual(yield* sql`SELECT value::text FROM observations`, [{ value: "1.50" }])
    })
  )

  it.effect("says that another one is under way", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const lock = sql`SELECT pg_advisory_xact_lock(hashtextextended('penstock topic replay', 0))`
      const replayed = yield* sql.withTransaction(Effect.andThen(lock, asked("topic replay")))
      assert.deepStrictEqual([replayed.code, replayed.out], [1, ""])
      assert.match(replayed.err, /^Another replay is under way; there can be one at a time\.$/m)
    })
  )
})

layer(services, { excludeTestServices: true })("penstock topic tail", (it) => {
  const append = Effect.fnUntraced(function* (partition: number, offset: number, value: string, at: string) {
    const sql = yield* SqlClient.SqlClient
    yield* sql`
      INSERT INTO topic_records (topic, partition, "offset", key, value, created_at)
      VALUES ('documents', ${partition}, ${offset}, ${`{"key":${offset}}`}, ${value}, ${at}::timestamptz)`
    yield* sql`UPDATE topic_partitions SET next_offset = ${offset + 1} WHERE topic = 'documents' AND partition = ${partition}`
  })

  it.effect("merges the partitions by time, and keeps each in the order of its offsets", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO topic_partitions (topic, partition) VALUES ('documents', 0), ('documents', 1)`
      yield* append(0, 0, "<a>\n\u001b[31m</a>", "2026-01-01T00:00:02Z")
      yield* append(0, 1, "b", "2026-01-01T00:00:01Z")
      yield* append(1, 0, "c".repeat(1_000), "2026-01-01T00:00:00Z")
      const [json, lines, unknown] = yield* Effect.all(
        [
          asked("topic tail documents --from earliest --limit 3 --json"),
          asked("topic tail documents --partition 0 --from earliest --limit 2"),
          asked("topic tail letters")
        ],
        atOnce
      )
      assert.deepStrictEqual(
        jsonLines(json.out).map(({ created_at, offset, partition, value }) => [partition, offset, value, created_at]),
        [
          [1, 0, "c".repeat(1_000), "2026-01-01T00:00:00.000Z"],
          [0, 0, "<a>\n\u001b[31m</a>", "2026-01-01T00:00:02.000Z"],
          [0, 1, "b", "2026-01-01T00:00:01.000Z"]
        ]
      )
      assert.strictEqual(
        lines.out,
        '2026-01-01T00:00:02.000Z 0:0       {"key":0} <a> [31m</a>\n2026-01-01T00:00:01.000Z 0:1       {"key":1} b\n',
        "one line each, without orders to the terminal"
      )
      assert.deepStrictEqual(unknown, failed("There is no topic letters. Embedded topics: documents."))
    })
  )

  it.effect("follows what is appended until Ctrl-C, which is a clean end", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const child = yield* startCommand({ DATABASE_URL: url }, "topic", "tail", "documents", "--json")
      const said = yield* Stream.toPull(
        Stream.filter(
          Stream.splitLines(Stream.decodeText(child.stderr)),
          (line) => line === "Waiting for new records of documents. Ctrl-C ends."
        )
      )
      yield* said
      yield* append(1, 1, "new", "2026-01-01T00:00:03Z")
      const shown = yield* Stream.toPull(Stream.splitLines(Stream.decodeText(child.stdout)))
      const values = jsonLines((yield* shown).join("\n")).map(({ value }) => value)
      assert.deepStrictEqual(values, ["new"])
      yield* child.kill({ killSignal: "SIGINT" })
      assert.strictEqual(yield* child.exitCode, 0)
    })
  )
})

layer(NodeServices.layer, { excludeTestServices: true })("penstock on an embedded database", (it) => {
  it.effect(
    "uses the embedded one of a running service and says so, and starts it when nobody runs it",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const home = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })
        // As root the server runs as another user, who must be able to pass.
        yield* fs.chmod(home, 0o711)
        const command = (...args: ReadonlyArray<string>) => runWith({ PENSTOCK_DATA: home }, ...args)
        const which = (...args: ReadonlyArray<string>) =>
          Effect.map(runCommand({ PENSTOCK_DATA: home }, ...args), ({ database }) => database)
        const add = command("source", "add", "--council", "1", "--url", "https://h/a.hts", "--measurement", "Flow")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { directory } = yield* startEmbeddedPostgres({ directory: `${home}/postgres`, durable: false })
            const lockFile = fs.readFileString(`${directory}/postmaster.pid`)
            const before = yield* lockFile
            assert.strictEqual((yield* command("migrate")).code, 0)
            assert.deepStrictEqual(yield* add, succeeded("1\n"))
            assert.strictEqual(yield* lockFile, before, "the service keeps its server")
            const running = `embedded PostgreSQL of the running service, its data in ${home}/postgres`
            assert.deepStrictEqual(yield* Effect.all([which("task", "list"), which("migrate")], atOnce), [
              running,
              running
            ])
          })
        )
        const listed = yield* command("source", "list", "--json")
        assert.deepStrictEqual(
          jsonLines(listed.out).map(({ id }) => id),
          [1]
        )
        assert.isFalse(yield* fs.exists(`${home}/postgres/postmaster.pid`), "and stops what it started")
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")),
    180_000
  )
})
