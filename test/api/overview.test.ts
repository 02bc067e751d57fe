/**
 * What a person sees first, over HTTP, with a real PostgreSQL behind.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { Draining } from "../../src/api/Health.ts"
import { Overview } from "../../src/api/Overview.ts"
import { ApiUnderTest, type Asked, bodyAs, keyOf, layer, problemIn, requestOf } from "./ApiUnderTest.ts"

const ask = (path: string, asked: Asked = {}) =>
  Effect.flatMap(ApiUnderTest, (api) => api.ask(path, { key: keyOf("read"), ...asked }))

/** A server with tasks of each kind, points of each lane, and a dead letter. */
const seeded = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration, problem) VALUES
    (9, 'http://a.example/data.hts?key=verysecretkey', '{"measurementNames": ["Rainfall"]}', NULL),
    (10, 'http://b.example/data.hts', '{}', 'no measurements')`
  yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at, attempts, set_aside_at, set_aside_reason)
    SELECT s.id, 'MEASUREMENT_DATA', 'http://a.example/data.hts?n=' || n, now() + CASE WHEN n <= 7 THEN -interval '100 seconds' ELSE interval '1 day' END,
      CASE WHEN n = 20 THEN 1 ELSE 0 END, CASE WHEN n > 28 THEN now() END, CASE WHEN n > 28 THEN 'lost' END
    FROM hilltop_sources s, generate_series(1, 30) AS n WHERE council_id = 9`
  yield* sql`UPDATE hilltop_servers SET failures = 5, open_until = now() + interval '40 seconds', pace = 0.25`
  yield* sql`
    INSERT INTO flex.accounting_point (business_id) SELECT (707057500000000000 + n)::text FROM generate_series(1, 40) AS n`
  yield* sql`UPDATE flex.accounting_point_sync SET relevant = true, last_synced_at = now() - interval '3 hours' WHERE accounting_point_id % 4 > 0`
  yield* sql`UPDATE flex.accounting_point_sync SET failures = 2, last_error = 'invalid', next_attempt_at = now() + interval '1 minute'
    WHERE accounting_point_id % 10 = 1`
  yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value, headers)
    VALUES ('hilltop_raw_dead_letters', 0, 0, '{"type": "SITES_LIST"}', '{"xml": "01010112345 and more"}',
      '{"reason": "no XML of 01010112345", "source_topic": "hilltop_raw", "source_partition": "3", "source_offset": "17", "traceparent": "x"}')`
  yield* sql`UPDATE topic_partitions SET next_offset = 1 WHERE topic = 'hilltop_raw_dead_letters'`
  yield* sql`INSERT INTO penstock_instances (id, roles, adapter) VALUES (gen_random_uuid(), '{sync}', ${JSON.stringify({
    calls: 120,
    failed: 60,
    seconds: 60,
    total_millis: 6_000,
    slowest_millis: 640,
    circuit: { state: "open", since: 1_000, next_call_at: Date.now() + 12_000 }
  })}::jsonb)`
})

it.layer(layer, { excludeTestServices: true })("the overview", (it) => {
  it.effect("counts what the database has, and says in words what is wrong with each flow", () =>
    Effect.gen(function* () {
      yield* seeded
      const answered = yield* ask("/overview")
      const shown = bodyAs(Overview)(answered)
      const points = shown.accounting_points
      const exact = (value: number) => ({ value, is: "exact" as const })
      assert.deepStrictEqual(points.relevant, exact(30))
      assert.deepStrictEqual(points.fresh, exact(30))
      assert.deepStrictEqual(points.late, exact(0))
      assert.deepStrictEqual(points.ages[3]!.points, exact(30))
      const [failing] = points.failures
      assert.deepInclude(failing, { kind: "invalid", points: exact(4) })
      assert.lengthOf(failing!.samples, 4)
      assert.deepInclude(points.adapter, {
        calls_per_second: 2,
        failed_per_second: 1,
        mean_millis: 50,
        slowest_millis: 640
      })
      assert.deepInclude(points.adapter.circuit, { state: "open", reporters: 1 })
      const { hilltop } = shown
      assert.lengthOf(hilltop.servers, 1)
      assert.deepInclude(hilltop.servers[0], {
        origin: "http://a.example",
        state: "left_alone",
        reason: "5 failures in a row",
        tasks: exact(30),
        due: exact(7),
        failing: exact(1),
        set_aside: exact(2)
      })
      assert.approximately(hilltop.servers[0]!.late_seconds!, 100, 30)
      assert.deepStrictEqual(hilltop.set_aside, [{ reason: "lost", tasks: { value: 2, is: "exact" } }])
      assert.deepStrictEqual(
        hilltop.sources.map(({ address, problem }) => [address, problem]),
        [
          ["http://b.example/data.hts", "no measurements"],
          ["http://a.example/data.hts", null]
        ]
      )
      assert.deepStrictEqual(shown.streams.dead_letters[0], { topic: "hilltop_raw", count: 1, not_redriven: 1 })
      const [accounting, crawl, streams] = shown.flows
      assert.deepInclude(accounting, { colour: "amber", causes: ["adapter_left_alone", "failing"] })
      assert.match(
        accounting!.sentence,
        /^The adapter answers nothing and is left alone, asked again in \d+ s; 4 of 30 accounting points fail \(4 invalid\)\.$/
      )
      assert.strictEqual(crawl!.colour, "red")
      assert.match(
        crawl!.sentence,
        /^1 of 1 server is left alone: http:\/\/a\.example \(5 failures in a row; asked again in \d+ s\); 1 source has a problem: http:\/\/b\.example\/data\.hts \(no measurements\); 2 tasks set aside/
      )
      assert.deepStrictEqual(
        [streams!.colour, streams!.sentence],
        ["amber", "1 record of hilltop_raw could not be used and was set aside."]
      )
      assert.notInclude(answered.text, "verysecretkey")
    })
  )

  it.effect("is for keys that read or administer, and the key's scopes are told to who has it", () =>
    Effect.gen(function* () {
      for (const [scope, status] of [
        ["read", 200],
        ["admin", 200],
        ["lookup", 403],
        ["event", 403]
      ] as const) {
        assert.strictEqual((yield* ask("/overview", { key: keyOf(scope) })).status, status)
        const mine = yield* ask("/api_key", { key: keyOf(scope) })
        assert.deepStrictEqual(mine.json, { scopes: [{ scope, name: `${scope}-caller` }] })
      }
      assert.strictEqual((yield* ask("/overview/events", { key: "nonsense" })).status, 401)
      assert.strictEqual((yield* ask("/api_key", { key: "nonsense" })).status, 401)
    })
  )

  it.effect("shows dead letters without anybody's number, and sends one again to where it came from", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const listed = yield* ask("/topic/dead_letter?topic=hilltop_raw")
      const { items } = listed.json as { items: ReadonlyArray<Record<string, unknown>> }
      assert.deepInclude(items[0], {
        topic: "hilltop_raw",
        offset: 0,
        reason: "no XML of [personal number]",
        source_partition: 3,
        source_offset: 17,
        redriven_at: null
      })
      const whole = yield* ask("/topic/dead_letter/hilltop_raw/0")
      assert.include(whole.text, "[personal number] and more")
      assert.notInclude(listed.text + whole.text, "01010112345")
      assert.strictEqual((yield* ask("/topic/dead_letter/hilltop_raw/1")).status, 404)
      assert.strictEqual((yield* ask("/topic/dead_letter?topic=other")).status, 404)
      const post = { method: "POST", key: keyOf("admin") }
      assert.strictEqual((yield* ask("/topic/dead_letter/hilltop_raw/0/redrive", { method: "POST" })).status, 403)
      const all = yield* ask("/topic/dead_letter/redrive", { ...post, body: { topic: "hilltop_raw" } })
      assert.deepStrictEqual(all.json, { redriven: 1, more: false })
      const none = yield* ask("/topic/dead_letter/redrive", { ...post, body: { topic: "hilltop_raw" } })
      assert.deepStrictEqual(none.json, { redriven: 0, more: false })
      const again = yield* ask("/topic/dead_letter/hilltop_raw/0/redrive", post)
      assert.deepInclude(again.json, { redriven_by: "admin-caller" })
      const rows =
        yield* sql`SELECT partition, key, value, headers FROM topic_records WHERE topic = 'hilltop_raw' ORDER BY "offset"`
      const record = {
        partition: 3,
        key: '{"type": "SITES_LIST"}',
        value: '{"xml": "01010112345 and more"}',
        headers: { traceparent: "x" }
      }
      assert.deepStrictEqual(rows, [record, record])
      const { json } = yield* ask("/topic")
      const { dead_letters, groups } = json as {
        dead_letters: ReadonlyArray<unknown>
        groups: ReadonlyArray<Record<string, unknown>>
      }
      assert.deepStrictEqual(dead_letters[0], { topic: "hilltop_raw", count: 1, not_redriven: 0 })
      assert.deepInclude(groups[0], { group: "penstock-mapper", topic: "hilltop_raw", records_behind: 2 })
    })
  )

  it.effect("sends all dead letters again but what is none of the topic's, whatever comes first", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`
        INSERT INTO topic_records (topic, partition, "offset", key, value, headers)
        SELECT 'hilltop_raw_dead_letters', 0, 1 + n, '{}', '{}', headers::jsonb FROM unnest(ARRAY[
          '{"source_topic": "other", "source_partition": "3"}', '{}', '{"source_topic": "hilltop_raw", "source_partition": "5"}'])
          WITH ORDINALITY AS letter (headers, n)`
      yield* sql`UPDATE topic_partitions SET next_offset = 5 WHERE topic = 'hilltop_raw_dead_letters'`
      const post = { method: "POST", key: keyOf("admin") }
      for (const redriven of [1, 0]) {
        const all = yield* ask("/topic/dead_letter/redrive", { ...post, body: { topic: "hilltop_raw" } })
        assert.deepStrictEqual(all.json, { redriven, more: false })
      }
      const sent = yield* sql`SELECT key FROM topic_records WHERE topic = 'hilltop_raw' AND partition = 5`
      assert.lengthOf(sent, 1)
    })
  )
})

const text = new TextDecoder()

it.layer(layer, { excludeTestServices: true })("the stream of events", (it) => {
  it.effect("has a snapshot at once, is read once for all who follow, and ends when the instance drains", () =>
    Effect.gen(function* () {
      const api = yield* ApiUnderTest
      const follow = Effect.promise(() =>
        api.fetch(requestOf("http://penstock.test", "/overview/events", { key: keyOf("read") }))
      )
      const readers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.map(follow, (response) => {
          assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
          return response.body!.getReader()
        })
      )
      const until = (reader: ReadableStreamDefaultReader<Uint8Array>, wanted: RegExp) =>
        Effect.promise(async () => {
          let got = ""
          for (;;) {
            const { done, value } = await reader.read()
            if (done || wanted.test((got += text.decode(value)))) return got
          }
        })
      const firsts = yield* Effect.forEach(readers, (reader) => until(reader, /\n\n.*\n\n/s), { concurrency: 3 })
      assert.match(firsts[0]!, /^retry: 2000\n\nevent: overview\ndata: \{"at":"[^"]+","version"/)
      assert.strictEqual(new Set(firsts).size, 1, "the same snapshot for all")
      yield* (yield* Draining).begin
      for (const reader of readers) {
        assert.match(yield* until(reader, /never/), /event: end\ndata: \{"reason":"shutting-down"\}\n\n$/)
      }
      assert.strictEqual(problemIn(yield* ask("/overview?x=1")).status, 400)
    })
  )
})
