/**
 * `docs/how-it-works.md` says what the code does: what its pictures name is there, its statements run, and its figures are the
 * code's own.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { patience } from "../../layers/postgres/sessionSettings.ts"
import { delayAfterFailure } from "../../src/crawl/RefreshPolicy.ts"
import { longestUrl, mostFollowUps } from "../../src/crawl/FetchPlan.ts"
import { sharePeriod } from "../../src/crawl/FetchOrder.ts"
import { leaseTime } from "../../src/crawl/HilltopQueue.ts"
import { mostTakeovers } from "../../src/crawl/lostTask.ts"
import { bucketSize, paceRule } from "../../src/crawl/ServerPace.ts"
import { type Failure, FetchResult, historyLength, RequestType } from "../../src/domain/FetchTask.ts"
import { rawPartitions } from "../../src/domain/HilltopMessage.ts"
import { observationPartitions } from "../../src/domain/Observation.ts"
import { closed, failuresInRow, nextRoundIn } from "../../src/sync/circuitRule.ts"
import { rememberedTimes } from "../../src/sync/EventInbox.ts"
import { maxMessageBytes } from "../../src/stream/KafkaSink.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const root = resolve(import.meta.dirname, "../..")
const path = "docs/how-it-works.md"
const page = documentPage("docs/how-it-works.md")
/** Without the breaks of its lines. */
const text = readFileSync(resolve(root, path), "utf8").replaceAll(/\s+/g, " ")

const says = (sentence: string) => assert.include(text, sentence)

layer(TestDatabase.layer, { excludeTestServices: true })("how it works", (it) => {
  const columnsOf = (table: string) =>
    SqlClient.SqlClient.use((sql) =>
      Effect.map(
        sql<{ name: string }>`
          SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(${table}) AND attnum > 0`,
        (rows) => rows.map(({ name }) => name)
      )
    )

  it.effect("draws tables, columns, kinds of tasks and files that exist", () =>
    Effect.gen(function* () {
      const [event, document] = [page.take("event"), page.take("document")]
      assert.includeMembers(
        [...(yield* columnsOf("flex.accounting_point_sync"))],
        ["last_event_at", "last_sync_start", "last_synced_at", "version"].filter((name) => event.includes(name))
      )
      for (const file of event.match(/src\/\S+\.ts/g) ?? []) assert.isTrue(existsSync(resolve(root, file)), file)
      for (const table of ["hilltop_sources", "hilltop_fetch_tasks", "hilltop_fetch_leases", "observations"]) {
        assert.include(document, table)
        assert.isNotEmpty(yield* columnsOf(table))
      }
      for (const kind of RequestType.literals) assert.include(document, kind)
      const results = document.match(/\b(?:[A-Z]+_ERROR|UNCHANGED|SUCCESS)\b/g) ?? []
      assert.includeMembers([...FetchResult.literals], results)
      assert.include(yield* columnsOf("hilltop_fetch_leases"), "lease_until")
      assert.include(yield* columnsOf("observations"), "first_seen_at")
    })
  )

  it.effect("has statements that run, and tell what was known at a moment", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        INSERT INTO observations (series_id, observed_at, value, first_seen_at, superseded_at) VALUES
          (1, '2026-08-02T00:00+12', 1.5, '2026-08-02T00:10Z', '2026-10-01T00:00Z'),
          (1, '2026-08-02T00:00+12', 1.7, '2026-10-01T00:00Z', NULL),
          (1, '2026-08-03T00:00+12', 2.5, '2026-10-01T00:00Z', NULL)`
      const known = yield* sql<{ value: string }>`${sql.literal(page.take("as of").replace(/;\s*$/, ""))}`
      assert.deepStrictEqual(
        known.map(({ value }) => value),
        ["1.5"]
      )

      yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration) VALUES (1, 'http://a.example/a.hts', '{}')`
      const [task] = yield* sql<{ id: bigint }>`
        INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url)
        SELECT id, 'SITES_LIST', 'http://a.example/a.hts?x' FROM hilltop_sources RETURNING id`
      yield* sql`
        INSERT INTO hilltop_fetch_leases (task_id, origin, due_at, lease_until)
        VALUES (${task!.id}, 'http://a.example', now(), now() + interval '9 seconds')`
      const leases = yield* sql`${sql.literal(page.take("leases").replace(/;\s*$/, ""))}`
      assert.deepStrictEqual(
        leases.map((lease) => Object.keys(lease)),
        [["id", "request_type", "fence", "left"]]
      )
    })
  )
})

describe("its figures", () => {
  it("are the code's", () => {
    says(`A lease lasts ${Duration.toSeconds(leaseTime)} s`)
    says(`was lost ${mostTakeovers} times in a row is set aside`)
    says(`one of the last ${rememberedTimes} within that skew`)
    assert.strictEqual(sharePeriod, 8)
    says("of eight requests one is a list's and one is history's")
    says(`\`hilltop_raw\` has ${rawPartitions} partitions`)
    says(`\`observations\` ${observationPartitions}, by`)
    says(`${mostFollowUps.toLocaleString("en")}; more are a \`PARSE_ERROR\``)
    says(`${longestUrl.toLocaleString("en")} characters; longer ones are left out`)
    says(`| history of a task | ${historyLength} runs |`)
    says(`| a message of a topic | ${maxMessageBytes / 2 ** 20} MiB |`)
    says(`| a statement | ${patience.statement / 1000} s; ${patience.lock / 1000} s of it for a lock`)
  })

  it("of budgets are those of the rules", () => {
    assert.deepInclude(paceRule, {
      afterFailure: 0.5,
      least: 0.05,
      afterSlowness: 0.8,
      slowFactor: 2,
      slowMillis: 250
    })
    assert.deepInclude(paceRule, { failures: 5, firstPauseSeconds: 15, longestPauseSeconds: 1800 })
    assert.deepInclude(paceRule, { step: 0.01, recoverySeconds: 60 })
    assert.strictEqual(bucketSize(20), 1 + 20 / 4)
    assert.strictEqual(failuresInRow, 10)
    const rounds = [1, 2, 3, 4].map((n) => nextRoundIn({ ...closed, rounds: n }))
    assert.deepStrictEqual(rounds, [5, 10, 20, 30])
    assert.strictEqual(nextRoundIn(closed, 1_000), 120)
  })

  it.effect("of failures are those by which they are tried again", () =>
    Effect.gen(function* () {
      const rows = [...text.matchAll(/\| `([A-Z_]+)` \| (\d+) (s|minutes|hours) \| (\d+) (hours|days?) \|/g)]
      assert.strictEqual(rows.length, FetchResult.literals.length - 2)
      const unit = { s: 1e3, minutes: 6e4, hours: 36e5, day: 864e5, days: 864e5 }
      for (const [, result, first, ofFirst, longest, ofLongest] of rows) {
        const expected = [Number(first) * unit[ofFirst as "s"], Number(longest) * unit[ofLongest as "day"]]
        for (const [at, attempts] of [0, 50].entries()) {
          const delay = yield* delayAfterFailure(result as Failure, attempts)
          assert.closeTo(delay, expected[at]!, 0.2 * expected[at]!, `${result} after ${attempts}`)
        }
      }
    })
  )

  it("leave no block untried", () => {
    assert.deepStrictEqual(page.untaken(), [])
  })
})
