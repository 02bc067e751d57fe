/**
 * What comes from outside, at random: settings, answers of the adapter, records of topics with their headers, rows that somebody wrote
 * by hand, the texts that are kept of series, servers and documents. Each is taken or refused in words that hold nothing of it, and none
 * ends in a defect.
 *
 * HTTP bodies are sent in `test/api/fuzz.test.ts`, cursors in `test/api/taskSearch.test.ts`, Hilltop's documents in
 * `test/hilltop/fuzz.test.ts`, and the bytes of Kafka's batches in `test/layers/kafka/kafkajsBatches.test.ts`. `PENSTOCK_FUZZ=100000 npx vitest run test/decoders.test.ts` tries that many.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Layer, References, Schema } from "effect"
import * as fc from "fast-check"
import { SaxesXmlScanner } from "../layers/hilltop/SaxesXmlScanner.ts"
import { readEach } from "../layers/postgres/readableRows.ts"
import { checkSettings, Settings } from "../layers/Settings.ts"
import { UndiciAdapterClient } from "../layers/sync/UndiciAdapterClient.ts"
import { recordBatch } from "../src/api/eventStage.ts"
import { digestIn, notesIn } from "../src/crawl/Doubt.ts"
import { lacksMost, parseListDigest } from "../src/crawl/ListDigest.ts"
import {
  decide,
  estimateOf,
  formatServer,
  inherited,
  leaders,
  parseServer,
  unknownServer
} from "../src/crawl/RefreshPolicy.ts"
import { parseSeries } from "../src/crawl/refresh/SeriesState.ts"
import { formatSeriesDigest, parseSeriesDigest } from "../src/crawl/SeriesDigest.ts"
import { Gsrn } from "../src/domain/Identifiers.ts"
import { TaskDetails } from "../src/domain/FetchTask.ts"
import { fromObservationRecord } from "../src/stream/observationRecord.ts"
import { mapRecord } from "../src/stream/ObservationMapper.ts"
import type { TopicRecord } from "../src/stream/TopicReader.ts"
import { AdapterBudget, withinBudget } from "../src/sync/AdapterBudget.ts"
import { AdapterClient } from "../src/sync/AdapterClient.ts"
import { EventInbox } from "../src/sync/EventInbox.ts"
import { gsrnOf } from "./support/gsrns.ts"
import { standIn } from "./support/standIn.ts"

const numRuns = Number(process.env["PENSTOCK_FUZZ"] ?? 250)
const seed = Number(process.env["PENSTOCK_FUZZ_SEED"] ?? 1)
const timeout = 60_000 + numRuns * 20

/** A person's number, which no refusal may repeat. */
const person = "31129912345"

const strange = fc.oneof(
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  fc.constantFrom<unknown>("", "\0", "\ud800", person, Number(person), -1, 0, 1e308, 2 ** 53, true, null, [], {}, [[]]),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.double()
)

/** The value with some of what is in it replaced, left out or repeated. */
const spoilt = (value: unknown): fc.Arbitrary<unknown> => {
  const kept = (inner: fc.Arbitrary<unknown>) => fc.oneof({ weight: 8, arbitrary: inner }, strange)
  if (Array.isArray(value)) {
    return kept(
      fc.tuple(...value.map(spoilt)).chain((list) => fc.constantFrom(list, [...list, ...list], list.slice(1)))
    )
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, spoilt(one)]))
    return kept(
      fc.oneof(
        { weight: 9, arbitrary: fc.record(fields) },
        fc.record(fields, { requiredKeys: [] }),
        fc.tuple(fc.record(fields), fc.string(), strange).map(([all, key, one]) => ({ ...all, [key]: one }))
      )
    )
  }
  return kept(fc.constant(value))
}

/** Its JSON, now and then with some bytes of it gone. */
const spoiltJson = (value: unknown): fc.Arbitrary<string> =>
  fc.tuple(spoilt(value), fc.nat(9), fc.nat(2_000)).map(([json, chance, at]) => {
    const text = JSON.stringify(json) ?? ""
    return chance === 0 ? text.slice(0, at % (text.length + 1)) : text
  })

/** How it went, in words; fails where it was a defect, or where the words repeat what was given. */
const wordsOf = (exit: Exit.Exit<unknown, unknown>, given: string): string => {
  if (Exit.isSuccess(exit)) return "taken"
  const isRefused = exit.cause.reasons.every(Cause.isFailReason)
  assert.isTrue(isRefused, `${given}\n${Cause.pretty(exit.cause)}`)
  const told = exit.cause.reasons
    .map((reason) => (Cause.isFailReason(reason) ? JSON.stringify(reason.error) + String(reason.error) : ""))
    .join()
  assert.notInclude(told, person, given)
  return "refused"
}

/** Tries all of them, and that neither all nor none are taken. */
const tryAll = Effect.fnUntraced(function* <A, R>(
  given: fc.Arbitrary<A>,
  attempt: (one: A) => Effect.Effect<unknown, unknown, R>
) {
  const seen = new Set<string>()
  for (const one of fc.sample(given, { numRuns, seed })) {
    seen.add(wordsOf(yield* Effect.exit(attempt(one)), JSON.stringify(one) ?? ""))
  }
  assert.deepStrictEqual([...seen].sort(), ["refused", "taken"])
})

const gsrn = gsrnOf(1)
const answer = {
  gsrn,
  end_user: [{ business_id: person, valid_from: "2020-01-01T00:00:00+01:00", valid_to: null }],
  energy_supplier: [{ business_id: "7080005010000", valid_from: "2020-01-01T00:00:00+01:00" }],
  metering_grid_area: [{ business_id: "42Y1234567890123", valid_from: "2020-01-01T00:00:00+01:00" }],
  energy_direction: [{ direction: ["consumption", "production"], valid_from: "2020-01-01T00:00:00+01:00" }],
  location: { latitude: 59.9, longitude: 10.7 }
}

const rows = "<E><T>2025-01-01T00:00:00</T><I1>584</I1></E>".repeat(3)
const document = `<Hilltop><Agency>A</Agency><Measurement SiteName="S"><DataSource Name="Flow" NumItems="1"><TSType>StdSeries</TSType></DataSource><Data DateFormat="Calendar" NumItems="1">${rows}</Data></Measurement></Hilltop>`
const raw = {
  type: "MEASUREMENT_DATA",
  councilId: 1,
  hilltopBaseUrl: "http://a.nz/",
  at: "2025-02-01T00:00:00Z",
  siteName: "S",
  measurementName: "Flow",
  yearMonth: "2025-01",
  hilltopUrl: "http://a.nz/a.hts?Service=Hilltop&Request=GetData&Site=S&Measurement=Flow&from=2025-01-01&to=2025-01-31",
  xml: document
}
const observation = {
  type: "OBSERVATION_DATA",
  councilId: 1,
  siteName: "S",
  measurementName: "Flow",
  observations: [{ observedAt: "2025-01-01T00:00:00+12:00", value: 584 }]
}
const headers = fc.dictionary(
  fc.constantFrom(
    "item",
    "units",
    "listed_units",
    "measurement",
    "source",
    "projection",
    "latitude",
    "longitude",
    "excluded_sites",
    "fetched_at",
    "covers_from",
    "covers_until",
    "raw_partition",
    "raw_offset",
    "raw_at",
    "traceparent"
  ),
  fc.oneof(
    fc.constantFrom(
      "1",
      "2",
      "0",
      "-41.3",
      "1e999",
      "[]",
      '["S"]',
      "EPSG:2193",
      "2025-01-01T00:00:00Z",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      person
    ),
    fc.string({ maxLength: 30 })
  ),
  { maxKeys: 6 }
)
const recordOf = (value: unknown): fc.Arbitrary<TopicRecord> =>
  fc.record({
    topic: fc.constant("a topic"),
    partition: fc.nat(15),
    offset: fc.nat(),
    key: fc.oneof(fc.constant(""), spoiltJson({ type: "MEASUREMENT_DATA" })),
    value: spoiltJson(value),
    headers,
    at: fc.nat()
  })

describe("what comes from outside, at random", () => {
  it.effect(
    "settings are taken, or refused by name and never by value",
    () =>
      tryAll(
        fc.dictionary(
          fc.constantFrom(...Object.keys(Settings)),
          fc.oneof(
            fc.constantFrom(
              "1",
              "5 minutes",
              "true",
              "api,sync",
              "a:b",
              "http://127.0.0.1:1",
              "json",
              person,
              `a:${person}`
            ),
            fc.string({ maxLength: 40 })
          ),
          { maxKeys: 3 }
        ),
        (env) => Effect.provide(checkSettings, ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
      ),
    timeout
  )

  it.live(
    "an answer of the adapter is taken, or refused in words without what it said",
    () =>
      Effect.gen(function* () {
        let body = ""
        const { url } = yield* standIn((_, response) =>
          response.setHeader("content-type", "application/json").end(body)
        )
        const settings = { ADAPTER_URL: url, ADAPTER_TIMEOUT: "5 seconds", ADAPTER_API_KEY: "k" }
        const adapter = Layer.effect(AdapterClient, withinBudget).pipe(
          Layer.provide([UndiciAdapterClient, AdapterBudget.layerUnlimited]),
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings)))
        )
        yield* Effect.provide(
          tryAll(spoiltJson(answer), (text) =>
            Effect.andThen(
              Effect.sync(() => (body = text)),
              AdapterClient.use(({ fetch }) => fetch(Gsrn.make(gsrn), 0))
            )
          ),
          adapter
        )
      }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")),
    timeout
  )

  it.effect(
    "a raw record is mapped, or is none",
    () => tryAll(recordOf(raw), (record) => mapRecord(record, "observations")).pipe(Effect.provide(SaxesXmlScanner)),
    timeout
  )

  it.effect("a record of the observations topic is a message, or none", () =>
    tryAll(recordOf(observation), fromObservationRecord)
  )

  it.effect(
    "a record of the event topic holds events, or becomes a dead letter",
    () =>
      Effect.gen(function* () {
        const told: Array<number> = []
        const inbox = Layer.mock(EventInbox, {
          record: (events) =>
            Effect.sync(() => {
              told.push(events.length)
              return { received: events.length, recorded: events.length, stale: 0, unknown: 0 }
            })
        })
        const letters = new Set<number>()
        const events = [{ gsrn, occurred_at: "2025-01-01T00:00:00Z" }]
        for (const record of fc.sample(recordOf(events), { numRuns, seed })) {
          const exit = yield* Effect.exit(
            Effect.provide(recordBatch({ topic: "a topic", partition: 0, records: [record] }), inbox)
          )
          assert.strictEqual(wordsOf(exit, JSON.stringify(record)), "taken")
          if (Exit.isSuccess(exit)) letters.add(exit.value.length)
        }
        assert.deepStrictEqual([...letters].sort(), [0, 1])
        assert.isNotEmpty(told)
      }),
    timeout
  )

  it("what was kept of a series and of a server is understood, or nothing is known; what follows from it is within bounds", () => {
    const kinds = ["SITES_LIST", "MEASUREMENTS_LIST", "MEASUREMENT_DATA", "MEASUREMENT_DATA_LATEST"] as const
    const at = Date.UTC(2026, 0, 1)
    const look = { at, added: 3, revised: false, newest: at - 60_000, step: 300_000 }
    let good: string | undefined
    for (let n = 0; n < 60; n++) {
      const then = at - (60 - n) * 310_000
      const one = { ...look, requestType: "MEASUREMENT_DATA_LATEST", at: then, newest: then - 60_000 } as const
      good = decide(good, one, unknownServer, n).kept
    }
    const parts = good?.split(",") ?? []
    const part = fc.oneof(
      fc.constantFrom("", "0", "-1", "1", "zzzzzzzzz", "-zzzzzzzzz", "zzzzzzzzzz", "é", "NaN"),
      fc.string({ unit: fc.constantFrom(..."0123456789abcdefghijklmnopqrstuvwxyz-"), maxLength: 60 })
    )
    const series = fc
      .tuple(...parts.map((one) => fc.oneof({ weight: 9, arbitrary: fc.constant(one) }, part)), fc.nat(30))
      .map((all) =>
        all
          .slice(0, -1)
          .slice(0, all.at(-1) === 0 ? 12 : 16)
          .join(",")
      )
    // It has so many numbers that hardly a spoilt one is left whole.
    const whole = formatServer({ ...unknownServer, since: at })
    const server = fc.oneof({ weight: 4, arbitrary: spoiltJson(JSON.parse(whole)) }, fc.constant(whole))
    const known = new Set<string>()
    for (const [state, knowledge, chance] of fc.sample(fc.tuple(series, server, fc.integer()), { numRuns, seed })) {
      known.add(`series ${parseSeries(state) !== undefined}`)
      known.add(`server ${parseServer(knowledge) !== unknownServer}`)
      for (const requestType of kinds) {
        const { due, kept, reason } = decide(state, { ...look, requestType }, parseServer(knowledge), chance)
        const what = `${requestType} ${state} ${knowledge}: ${reason}`
        assert.isTrue(due > at && due <= at + 95 * 86_400_000, what)
        assert.match(kept, /^[ -~]{0,200}$/, what)
        assert.notMatch(reason, /NaN|Infinity|undefined/, what)
      }
      estimateOf(state)
      leaders([
        { id: 1, kept: state },
        { id: 2, kept: good }
      ])
      inherited([{ kept: state }, { kept: good }])
    }
    assert.sameMembers([...known], ["series false", "series true", "server false", "server true"])
  })

  it("what was kept of a document is understood, or the next one counts as changed", () => {
    const seriesDigest = {
      v: 2,
      header: "h",
      context: "c",
      count: 3,
      last: 1_735_689_600_000,
      beforeLast: 1_735_689_300_000,
      rest: "r",
      first: 1_735_689_000_000,
      edge: Buffer.from(Array.from({ length: 27 }, (_, n) => n * 9)).toString("base64")
    }
    const list = { list: "d", count: 2, sample: [1, 2], extents: { Flow: [1_735_689_600_000, null] } }
    const notes = { doubts: { kind: "missing", since: 1_735_689_600_000, times: 2 }, spoilt: true }
    const seen = new Set<string>()
    const kept = fc.tuple(fc.oneof(spoiltJson(seriesDigest), spoiltJson(list)), spoiltJson(notes), fc.string())
    for (const [digest, note, text] of fc.sample(kept, { numRuns, seed })) {
      const all = `${digest}\n${note}`
      assert.notInclude(digestIn(all), "\n")
      const { doubts, spoilt: isSpoilt } = notesIn(all)
      seen.add(`notes ${doubts !== undefined || isSpoilt === true}`)
      const parsed = parseSeriesDigest(digestIn(all))
      seen.add(`series ${parsed !== undefined}`)
      if (parsed !== undefined) {
        assert.lengthOf(parsed.edge.high, parsed.edge.times.length)
        formatSeriesDigest(parsed)
      }
      const said = parseListDigest(digestIn(all))
      seen.add(`list ${said.extents !== undefined}`)
      assert.isBoolean(lacksMost(said, ["Flow"]))
      parseSeriesDigest(text)
      assert.strictEqual(parseListDigest(text).digest, text)
      assert.deepStrictEqual(notesIn(text), {})
    }
    assert.sameMembers([...seen].sort(), [
      "list false",
      "list true",
      "notes false",
      "notes true",
      "series false",
      "series true"
    ])
  })

  it.effect("a row is read, or told of by its columns", () =>
    Effect.gen(function* () {
      const Row = Schema.Struct({ id: Schema.Int, gsrn: Gsrn, details: TaskDetails, at: Schema.NullOr(Schema.Finite) })
      const read = readEach("rows at random", Row)
      const given = fc.sample(spoilt({ id: 1, gsrn, details: { siteName: "S" }, at: null }), { numRuns, seed })
      const { readable, unreadable } = yield* read(given)
      assert.strictEqual(readable.length + unreadable.length, given.length)
      assert.isAbove(Math.min(readable.length, unreadable.length), 0)
      for (const { reason } of unreadable)
        assert.match(reason, /^(?:(?:id|gsrn|details|at|the row)(?:, )?)+ cannot be read$/)
    })
  )
})
