/**
 * What a Hilltop server said and was taken is there: each document that a task settled as news lies in the raw topic, is
 * mapped once, and in the end the table of observations says what the servers hold.
 *
 * To compare, the simulated time is stopped and everything is asked once more: that repeats no document that was lost,
 * because one that is not news is not published.
 */
import { Clock, Effect, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { mapRecord } from "../../src/stream/ObservationMapper.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { ChaosTopics, names } from "./ChaosTopics.ts"
import { checked } from "./Checked.ts"
import { packedOnce } from "./packPromises.ts"

/** A server that failed in a row is left alone for up to this long, and a task that did waits. */
const crawlPatience = 240_000
const lagPatience = 60_000

/** Fewer show nothing. */
const fewestObservations = 1_000

interface Unfinished {
  readonly url: string
  readonly state: string
}

/** Asks everything once more and waits until it was answered; what was not. */
const askAllAgain = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{
    now: string
  }>`SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now`
  const since = row?.now ?? ""
  const until = (yield* Clock.currentTimeMillis) + crawlPatience
  // Also those that have failed meanwhile: an operator would not wait for their back-off.
  const makeDue = sql`
    UPDATE hilltop_fetch_tasks SET next_fetch_at = now()
    WHERE set_aside_at IS NULL AND next_fetch_at > now() AND coalesce(previous_history -> -1 ->> 'at', '') < ${since}
      OR set_aside_at IS NULL AND attempts > 0 AND next_fetch_at > now() AND previous_history -> -1 ->> 'result' = 'FETCH_ERROR'`
  const unfinished = sql<Unfinished>`
    SELECT fetch_url AS url, concat_ws(', ', previous_history -> -1 ->> 'result', previous_history -> -1 ->> 'detail',
      'attempts ' || attempts, 'server left alone for ' || round(extract(epoch FROM v.cool_down_until - now())) || ' s') AS state
    FROM hilltop_fetch_tasks t LEFT JOIN hilltop_servers v ON v.origin = t.origin
    WHERE set_aside_at IS NULL AND (coalesce(previous_history -> -1 ->> 'at', '') < ${since}
      OR previous_history -> -1 ->> 'result' NOT IN ('SUCCESS', 'UNCHANGED', 'HILLTOP_ERROR'))`
  const left = yield* Effect.andThen(makeDue, unfinished).pipe(
    Effect.repeat({
      schedule: Schedule.spaced("1 second"),
      until: (rows) => Effect.map(Clock.currentTimeMillis, (now) => rows.length === 0 || now > until)
    })
  )
  return left.length === 0
    ? []
    : [
        `${left.length} requests of the Hilltop queue were not answered ${crawlPatience / 1_000} s after all faults, such as ${left[0]!.url}: ${left[0]!.state}`
      ]
})

const readersCaughtUp = Effect.gen(function* () {
  const { lag } = yield* ChaosTopics
  const until = (yield* Clock.currentTimeMillis) + lagPatience
  const left = yield* Effect.repeat(lag, {
    schedule: Schedule.spaced("200 millis"),
    until: (records) => Effect.map(Clock.currentTimeMillis, (now) => records === 0 || now > until)
  })
  return left === 0
    ? []
    : [`${left} records of the topics are still unread ${lagPatience / 1_000} s after all is asked`]
})

interface Settled {
  readonly url: string
  readonly at: string
}

/** Each run that brought something new has its document in the raw topic. */
const documentsPublished = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { records } = yield* ChaosTopics
  const raw = yield* records(names.rawTopic)
  const published = new Set(
    raw.map(({ value }) => {
      const { at, hilltopUrl } = JSON.parse(value) as { readonly at: string; readonly hilltopUrl: string }
      return `${at} ${hilltopUrl}`
    })
  )
  const settled = yield* sql<Settled>`
    SELECT fetch_url AS url, run ->> 'at' AS at
    FROM hilltop_fetch_tasks t CROSS JOIN jsonb_array_elements(previous_history) AS run
    WHERE run ->> 'result' = 'SUCCESS' AND (request_type NOT LIKE 'MEASUREMENT_DATA%' OR run ? 'newest')`
  const lost = settled.filter(({ at, url }) => !published.has(`${at} ${url}`))
  return {
    raw,
    settled: settled.length,
    broken:
      lost.length === 0
        ? []
        : [`${lost.length} documents were settled and are not in the topic, such as ${lost[0]!.url} of ${lost[0]!.at}`]
  }
})

/** Those that were published more than once, as after a crash between a document and the end of its task: the same run, twice. */
const publishedAgain = (raw: Effect.Success<typeof documentsPublished>["raw"]): ReadonlyArray<string> =>
  [...Map.groupBy(raw, ({ key, partition }) => `${partition} ${key}`)]
    .filter(([, records]) => records.length > 1)
    .map(([key, records]) => {
      const places = records.map((one) => `offset ${one.offset} at ${new Date(one.at).toISOString()}`)
      return `${key}: ${places.join(", ")}`
    })

const counted = (messages: ReadonlyArray<string>) => {
  const counts = new Map<string, number>()
  for (const message of messages) counts.set(message, (counts.get(message) ?? 0) + 1)
  return counts
}

/** Each raw record is mapped, and once. */
const documentsMapped = Effect.fnUntraced(function* (raw: Effect.Success<typeof documentsPublished>["raw"]) {
  const { records } = yield* ChaosTopics
  const expected = yield* Effect.forEach(raw, (record) => mapRecord(record, names.observationsTopic)).pipe(
    Effect.map((all) => all.flatMap((mapped) => mapped.records)),
    Effect.orDie
  )
  const sent = yield* records(names.observationsTopic)
  const text = (one: {
    readonly key: string
    readonly value: string
    readonly headers?: Readonly<Record<string, string>>
  }) => `${one.headers?.["raw_partition"]}/${one.headers?.["raw_offset"]} ${one.key} ${one.value}`
  const [wanted, found] = [counted(expected.map(text)), counted(sent.map(text))]
  const missing = [...wanted].filter(([message, count]) => (found.get(message) ?? 0) < count).length
  const doubled = [...found].filter(([message, count]) => count > Math.max(1, wanted.get(message) ?? 0)).length
  const strange = [...found].filter(([message]) => !wanted.has(message)).length
  return {
    sent: sent.length,
    broken: [
      ...(missing === 0 ? [] : [`${missing} of ${expected.length} messages of the observations topic are missing`]),
      ...(doubled === 0 ? [] : [`${doubled} messages of the observations topic are there twice`]),
      ...(strange === 0 ? [] : [`${strange} messages of the observations topic come from no raw record`])
    ]
  }
})

interface DataTask {
  readonly url: string
  readonly site: string
  readonly name: string
}

/** Milliseconds of the simulated present, as Hilltop writes times. */
const nzst = (millis: number) => new Date(millis + 12 * 3_600_000).toISOString().slice(0, 19)

/** The time a request is about, as the simulator's world is asked for it. */
const rangeOf = (query: URLSearchParams, now: number): readonly [from: string, to: string] =>
  query.has("TimeInterval")
    ? [nzst(now - 35 * 86_400_000), nzst(now)]
    : [query.get("from") ?? "", query.get("to") ?? ""]

/** The numbers a server holds for what it was asked for, by series and time. */
const expectedObservations = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const world = yield* HilltopSimulator
  const now = yield* world.time.now
  const tasks = yield* sql<DataTask>`
    SELECT fetch_url AS url, details ->> 'siteName' AS site, details ->> 'measurementName' AS name
    FROM hilltop_fetch_tasks WHERE request_type LIKE 'MEASUREMENT_DATA%' AND set_aside_at IS NULL`
  const expected = new Map<string, number>()
  for (const { name, site, url } of tasks) {
    const query = new URL(url.replaceAll("+", "%2B")).searchParams
    const rows = yield* world.expected(
      query.get("Site") ?? site,
      query.get("Measurement") ?? "",
      ...rangeOf(query, now)
    )
    for (const { at, value } of rows) {
      const number = value.replace(/^[<>]/, "").trim()
      if (number !== "" && Number.isFinite(Number(number))) expected.set(`${site} ${name} ${at}`, Number(number))
    }
  }
  return expected
})

const observationsEqual = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const expected = yield* expectedObservations
  // Wherever they lie: years that are over are packed and unpacked meanwhile.
  const stored = yield* sql<{ key: string; value: number }>`
    SELECT concat_ws(' ', s.name, m.measurement_name, (extract(epoch FROM o.observed_at) * 1000)::bigint) AS key,
      o.value::float8 AS value
    FROM all_observations o JOIN observation_sites_measurements m ON m.id = o.series_id
    JOIN observation_sites s ON s.id = m.site_id WHERE o.superseded_at IS NULL`
  const kept = new Map(stored.map(({ key, value }) => [key, value]))
  const missing = [...expected.keys()].filter((key) => !kept.has(key))
  const other = [...expected].filter(([key, value]) => kept.has(key) && kept.get(key) !== value)
  const further = [...kept.keys()].filter((key) => !expected.has(key))
  const told = (what: string, keys: ReadonlyArray<string>) =>
    keys.length === 0 ? [] : [`${keys.length} of ${expected.size} observations ${what}, such as ${keys[0]}`]
  return {
    kept: kept.size,
    broken: [
      ...told("are not in the table", missing),
      ...told(
        "are in the table with another value",
        other.map(([key]) => key)
      ),
      ...told("are in the table and not at the server", further),
      ...(kept.size < fewestObservations ? [`only ${kept.size} observations were stored: the run shows nothing`] : [])
    ]
  }
})

/** All of it, once the load is over; how much there was, and what is not as promised. */
export const documentPromises = Effect.gen(function* () {
  const from = yield* Clock.currentTimeMillis
  const world = yield* HilltopSimulator
  yield* world.faults.set([])
  yield* world.time.setSpeed(0)
  const unasked = yield* askAllAgain
  const unread = yield* readersCaughtUp
  const millis = (yield* Clock.currentTimeMillis) - from
  const published = yield* documentsPublished
  const mapped = yield* documentsMapped(published.raw)
  const stored = yield* observationsEqual
  const packed = yield* packedOnce
  return {
    millis,
    documents: published.raw.length,
    again: publishedAgain(published.raw),
    settled: published.settled,
    messages: mapped.sent,
    observations: stored.kept,
    packs: packed.packs,
    checked: [
      checked("spared", published.raw.length, "documents that were asked for and read in the end", [
        ...unasked,
        ...unread
      ]),
      checked("kept", published.settled, "settled documents in the topic", published.broken),
      checked("kept", mapped.sent, "messages that come from a document, once", mapped.broken),
      checked("kept", stored.kept, "observations as the servers hold them", stored.broken),
      packed.checked
    ]
  }
}).pipe(Effect.provide(SaxesXmlScanner))
