/**
 * What every ObservationStore promises; run over memory and PostgreSQL, and looked at through `Stored`.
 *
 * Every test uses a council of its own, so that one database serves the whole suite.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, type Layer, Option } from "effect"
import type { Observation, ObservationData, ObservationMessage, SiteDetails } from "../../src/domain/Observation.ts"
import type { StoredSeries, StoredSite } from "../../src/stream/MemoryObservations.ts"
import type { Coverage } from "../../src/stream/documentCoverage.ts"
import type { SeriesIdentity } from "../../src/stream/SeriesDocument.ts"
import { ObservationStore, type StoreMessage } from "../../src/stream/ObservationStore.ts"

/** What is kept, as the tests look at it. */
export class Stored extends Context.Service<
  Stored,
  {
    readonly site: (councilId: number, siteName: string) => Effect.Effect<StoredSite | undefined>
    readonly series: (
      councilId: number,
      siteName: string,
      measurement: string,
      identity?: Partial<SeriesIdentity>
    ) => Effect.Effect<StoredSeries | undefined>
  }
>()("penstock/test/stream/observationStoreSuite") {}

/** The fifth of August 2026 at `hour`, NZST. */
const august = (hour: number) =>
  hour < 0
    ? new Date(Date.UTC(2026, 7, 4, 12 + hour)).toISOString()
    : `2026-08-05T${String(hour).padStart(2, "0")}:00:00+12:00`
const instant = (text: string) => Date.parse(text)
const day = (n: number) => Date.UTC(2026, 8, n)

/** From one hour to another of that day, both included. */
const hours = (from: number, until: number): Coverage => ({
  from: instant(august(from)),
  until: instant(august(until))
})

const observation = (observedAt: string, value: string, more: Partial<Observation> = {}): Observation => ({
  observedAt,
  value,
  ...more
})
const data = (
  councilId: number,
  observations: ReadonlyArray<Observation>,
  more: Partial<ObservationData> = {}
): ObservationData => ({
  type: "OBSERVATION_DATA",
  councilId,
  siteName: "Hutt River at Taita Gorge",
  measurementName: "Flow",
  observations,
  ...more
})
const details = (
  councilId: number,
  location: SiteDetails["location"],
  more: Partial<SiteDetails> = {}
): SiteDetails => ({
  type: "SITE_DETAILS",
  councilId,
  siteName: "Hutt River at Taita Gorge",
  location,
  ...more
})

/** Stores messages of one partition, named after the council; offsets go on from `from`. */
const store = (
  councilId: number,
  from: number,
  ...messages: ReadonlyArray<readonly [seenAt: number, message: ObservationMessage, covers?: Coverage]>
) =>
  ObservationStore.use((observations) =>
    observations.store({
      topic: "observations",
      partition: councilId,
      messages: messages.map(([seenAt, message, covers], index): StoreMessage => ({
        offset: from + index,
        message,
        seenAt,
        covers
      }))
    })
  )
const stored = (councilId: number) =>
  Stored.use((view) => view.series(councilId, "Hutt River at Taita Gorge", "Flow")).pipe(
    Effect.map(Option.fromUndefinedOr),
    Effect.flatMap(Option.match({ onNone: () => Effect.die(new Error("no such series")), onSome: Effect.succeed }))
  )
const site = (councilId: number) => Stored.use((view) => view.site(councilId, "Hutt River at Taita Gorge"))

const dayOf = (at: number) => Math.floor((at - day(0)) / 86_400_000)

/** Versions as `[hour, value, first seen day, superseded day]`. */
const history = (councilId: number) =>
  Effect.map(stored(councilId), ({ versions }) => {
    return versions.map(({ at, firstSeenAt, supersededAt, value }) => [
      (at - instant(august(0))) / 3_600_000,
      value,
      dayOf(firstSeenAt),
      ...(supersededAt === undefined ? [] : [dayOf(supersededAt)])
    ])
  })

export const observationStoreSuite = <E>(name: string, stores: Layer.Layer<ObservationStore | Stored, E>) =>
  layer(stores, { excludeTestServices: true })(name, (it) => {
    it.effect("keeps a value of a year to come, and does not take it for the newest", () =>
      Effect.gen(function* () {
        const far = "2036-08-05T01:00:00+12:00"
        yield* store(70, 0, [day(1), data(70, [observation(far, "9")])])
        assert.deepInclude(yield* stored(70), { count: 1, lastObservedAt: undefined })
        const values = [observation(august(1), "1"), observation(august(2), "2")]
        yield* store(70, 1, [day(1), data(70, [...values, observation(far, "9")])])
        assert.deepInclude(yield* stored(70), { count: 3, lastObservedAt: instant(august(2)) })
        // The end is looked for anew when a value goes.
        yield* store(70, 2, [day(2), data(70, values.slice(0, 1)), hours(1, 5)])
        assert.deepInclude(yield* stored(70), { count: 2, lastObservedAt: instant(august(1)) })
        assert.strictEqual((yield* stored(70)).versions.at(-1)?.at, instant(far))
      })
    )

    it.effect("keeps values with their digits, qualifiers, qualities and the time they were first seen", () =>
      Effect.gen(function* () {
        const outcome = yield* store(1, 0, [
          day(1),
          data(
            1,
            [
              observation(august(1), "12.50"),
              observation(august(2), "0.002", { qualifier: "<" }),
              observation(august(3), "-1234567890123456789.000000000000000000001", { quality: 500 })
            ],
            { units: "l/s" }
          )
        ])
        assert.deepStrictEqual(outcome, { added: 3, corrected: 0, removed: 0, overruled: 0 })
        const series = yield* stored(1)
        const seen = { firstSeenAt: day(1), supersededAt: undefined }
        assert.deepStrictEqual(series, {
          units: "l/s",
          listedUnits: undefined,
          firstObservedAt: instant(august(1)),
          lastObservedAt: instant(august(3)),
          count: 3,
          versions: [
            { at: instant(august(1)), value: "12.50", qualifier: undefined, quality: undefined, ...seen },
            { at: instant(august(2)), value: "0.002", qualifier: "<", quality: undefined, ...seen },
            {
              at: instant(august(3)),
              value: "-1234567890123456789.000000000000000000001",
              qualifier: undefined,
              quality: 500,
              ...seen
            }
          ]
        })
      })
    )

    it.effect("takes first and last observation by time, whatever their positions", () =>
      Effect.gen(function* () {
        const values = [5, 2, 9, 4].map((hour) => observation(august(hour), "1"))
        yield* store(2, 0, [day(1), data(2, values)])
        yield* store(2, 1, [day(2), data(2, [observation(august(3), "1")])])
        const series = yield* stored(2)
        assert.strictEqual(series.firstObservedAt, instant(august(2)))
        assert.strictEqual(series.lastObservedAt, instant(august(9)))
        assert.strictEqual(series.count, 5)
      })
    )

    it.effect("creates the site of an observation it does not know", () =>
      Effect.gen(function* () {
        assert.isUndefined(yield* site(3))
        yield* store(3, 0, [day(1), data(3, [])])
        assert.isUndefined((yield* site(3))?.location ?? undefined)
        yield* store(3, 1, [day(2), data(3, [observation(august(1), "1")])])
        assert.isNotNull(yield* site(3))
      })
    )

    it.effect("moves a site to a later location, never to none or to an older one", () =>
      Effect.gen(function* () {
        const wellington = { easting: 1_776_000.5, northing: 5_440_000, projection: "NZTM2000" }
        yield* store(4, 0, [day(2), details(4, wellington)])
        yield* store(4, 1, [day(3), details(4, null)], [day(1), details(4, { easting: 1, northing: 2 })])
        assert.deepStrictEqual((yield* site(4))?.location, wellington)
        yield* store(4, 3, [day(4), details(4, { easting: 3, northing: 4 })])
        assert.deepStrictEqual((yield* site(4))?.location, { easting: 3, northing: 4 })
        yield* store(
          4,
          4,
          [day(6), details(4, null, { geographicLocation: { latitude: -41.25, longitude: 174.5 } })],
          [day(5), details(4, wellington)]
        )
        const last = yield* site(4)
        assert.deepStrictEqual(
          [last?.location, last?.geographicLocation],
          [null, { latitude: -41.25, longitude: 174.5 }]
        )
      })
    )

    it.effect(
      "keeps a site on the better grid when two sources have it on different ones, and follows each alone",
      () =>
        Effect.gen(function* () {
          const [today, former] = [
            { easting: 1_748_735, northing: 5_427_925, projection: "NZTM2000" },
            { easting: 2_658_735, northing: 5_989_925, projection: "NZMG" }
          ]
          const [a, b] = [{ source: "http://a" }, { source: "http://b" }]
          const moved = { ...today, easting: 1_748_736 }
          for (const [council, sources] of [
            [30, [a, b]],
            [31, [b, a]]
          ] as const) {
            const [one, other] = sources
            yield* store(council, 0, [day(1), details(council, former, other)], [day(2), details(council, today, one)])
            yield* store(council, 2, [day(3), details(council, former, other)])
            assert.deepStrictEqual((yield* site(council))?.location, today)
            yield* store(council, 3, [day(4), details(council, moved, one)], [day(5), details(council, former, other)])
            assert.deepStrictEqual((yield* site(council))?.location, moved)
            // By its numbers it can be no other grid.
            const { projection: _, ...unnamed } = today
            yield* store(
              council,
              5,
              [day(6), details(council, unnamed, one)],
              [day(7), details(council, former, other)]
            )
            assert.deepStrictEqual((yield* site(council))?.location, unnamed)
            yield* store(council, 7, [day(8), details(council, former, one)])
            assert.deepStrictEqual((yield* site(council))?.location, former)
          }
        })
    )

    it.effect("writes nothing for values that are the same again", () =>
      Effect.gen(function* () {
        const values = [observation(august(1), "12.50", { quality: 200 }), observation(august(2), "7")]
        yield* store(5, 0, [day(1), data(5, values)])
        const before = yield* stored(5)
        const nothing = { added: 0, corrected: 0, removed: 0, overruled: 0 }
        assert.deepStrictEqual(yield* store(5, 1, [day(2), data(5, values)]), nothing)
        const shorter = [observation(august(1), "12.5", { quality: 200 })]
        assert.deepStrictEqual(yield* store(5, 2, [day(3), data(5, shorter)], [day(4), data(5, values)]), nothing)
        assert.deepStrictEqual(yield* stored(5), before)
      })
    )

    it.effect("supersedes a corrected value and keeps it: value, qualifier and quality all count", () =>
      Effect.gen(function* () {
        yield* store(6, 0, [day(1), data(6, [observation(august(1), "1"), observation(august(2), "2")])])
        const corrected = yield* store(
          6,
          1,
          [day(2), data(6, [observation(august(1), "1.1"), observation(august(2), "2"), observation(august(3), "3")])],
          [day(3), data(6, [observation(august(1), "1.1", { qualifier: "<" })])],
          [day(4), data(6, [observation(august(1), "1.1", { qualifier: "<", quality: 600 })])]
        )
        assert.deepStrictEqual(corrected, { added: 1, corrected: 3, removed: 0, overruled: 0 })
        assert.deepStrictEqual(yield* history(6), [
          [1, "1", 1, 2],
          [1, "1.1", 2, 3],
          [1, "1.1", 3, 4],
          [1, "1.1", 4],
          [2, "2", 1],
          [3, "3", 2]
        ])
        assert.strictEqual((yield* stored(6)).count, 3)
      })
    )

    it.effect("lets an older document fill gaps and the past, and replace nothing that is newer", () =>
      Effect.gen(function* () {
        yield* store(7, 0, [day(5), data(7, [observation(august(1), "1"), observation(august(4), "4")])])
        const late = data(7, [observation(august(1), "0"), observation(august(2), "2"), observation(august(4), "4")])
        assert.deepStrictEqual(yield* store(7, 1, [day(3), late]), { added: 1, corrected: 0, removed: 0, overruled: 1 })
        assert.deepStrictEqual(yield* history(7), [
          [1, "0", 3, 5],
          [1, "1", 5],
          [2, "2", 3],
          [4, "4", 3]
        ])
      })
    )

    it.effect(
      "does not let a late document replace what a newer one has confirmed, though it was first seen before",
      () =>
        Effect.gen(function* () {
          const confirmed = data(8, [observation(august(1), "1"), observation(august(2), "2")])
          yield* store(8, 0, [day(1), confirmed], [day(5), confirmed])
          const late = data(8, [observation(august(1), "99")])
          assert.deepStrictEqual(yield* store(8, 2, [day(3), late]), {
            added: 0,
            corrected: 0,
            removed: 0,
            overruled: 1
          })
          assert.deepStrictEqual(yield* history(8), [
            [1, "1", 1],
            [2, "2", 1]
          ])
        })
    )

    it.effect("lets a late document correct what no newer one covers", () =>
      Effect.gen(function* () {
        yield* store(
          9,
          0,
          [day(1), data(9, [observation(august(1), "1"), observation(august(2), "2")])],
          [day(5), data(9, [observation(august(2), "2"), observation(august(3), "3")])]
        )
        yield* store(9, 2, [day(3), data(9, [observation(august(1), "1.5"), observation(august(2), "2.5")])])
        assert.deepStrictEqual(yield* history(9), [
          [1, "1", 1, 3],
          [1, "1.5", 3],
          [2, "2", 1],
          [3, "3", 5]
        ])
      })
    )

    it.effect("takes a value back that a late document had corrected, when a newer one says so again", () =>
      Effect.gen(function* () {
        const first = data(18, [observation(august(1), "1")])
        const later = data(18, [observation("2026-08-20T00:00:00+12:00", "20")])
        yield* store(18, 0, [day(1), first], [day(5), later], [day(3), data(18, [observation(august(1), "1.5")])])
        assert.strictEqual((yield* store(18, 3, [day(6), first])).corrected, 1)
        assert.deepStrictEqual((yield* history(18)).slice(0, 3), [
          [1, "1", 1, 3],
          [1, "1.5", 3, 6],
          [1, "1", 6]
        ])
      })
    )

    it.effect("supersedes a value that a newer document covers and no longer has", () =>
      Effect.gen(function* () {
        const at = (...values: ReadonlyArray<number>) =>
          data(
            20,
            values.map((hour) => observation(august(hour), String(hour)))
          )
        yield* store(20, 0, [day(1), at(1, 2, 3, 4, 5)])
        const outcome = yield* store(20, 1, [day(2), at(2, 4), hours(2, 4)])
        assert.deepStrictEqual(outcome, { added: 0, corrected: 0, removed: 1, overruled: 0 })
        // At its edges, and of a day of which nothing is left.
        yield* store(20, 2, [day(3), at(4), hours(2, 5)])
        yield* store(20, 3, [day(4), data(20, [observation("2026-08-04T00:00:00+12:00", "9")]), hours(-24, 5)])
        assert.deepStrictEqual(yield* history(20), [
          [-24, "9", 4],
          [1, "1", 1, 4],
          [2, "2", 1, 3],
          [3, "3", 1, 2],
          [4, "4", 1, 4],
          [5, "5", 1, 3]
        ])
        const { count, firstObservedAt, lastObservedAt } = yield* stored(20)
        assert.deepStrictEqual(
          [count, firstObservedAt, lastObservedAt],
          [1, instant(august(-24)), instant(august(-24))]
        )
      })
    )

    it.effect("supersedes nothing that a document does not cover, or of which it does not say what it covers", () =>
      Effect.gen(function* () {
        const values = [1, 2, 3].map((hour) => observation(august(hour), "1"))
        yield* store(21, 0, [day(1), data(21, values)])
        yield* store(21, 1, [day(2), data(21, [values[1]!])], [day(3), data(21, [values[1]!]), hours(2, 2)])
        yield* store(21, 3, [day(4), data(21, []), hours(0, 9)])
        assert.deepStrictEqual(yield* history(21), [
          [1, "1", 1],
          [2, "1", 1],
          [3, "1", 1]
        ])
        assert.strictEqual((yield* stored(21)).count, 3)
      })
    )

    it.effect("brings a removed value back when a newer document has it again, and not when an older one has it", () =>
      Effect.gen(function* () {
        const both = data(22, [observation(august(1), "1"), observation(august(2), "2")])
        const one = data(22, [observation(august(1), "1")])
        yield* store(22, 0, [day(1), both, hours(0, 3)], [day(5), one, hours(0, 3)], [day(3), both, hours(0, 3)])
        assert.deepStrictEqual(yield* history(22), [
          [1, "1", 1],
          [2, "2", 1, 5]
        ])
        assert.strictEqual((yield* store(22, 3, [day(7), both, hours(0, 3)])).added, 1)
        assert.deepStrictEqual((yield* history(22)).slice(1), [
          [2, "2", 1, 5],
          [2, "2", 7]
        ])
        const { count, lastObservedAt } = yield* stored(22)
        assert.deepStrictEqual([count, lastObservedAt], [2, instant(august(2))])
      })
    )

    it.effect("lets no older document overrule a newer one of days that the newest of all does not cover", () =>
      Effect.gen(function* () {
        const both = (councilId: number, value: string) =>
          data(councilId, [observation(august(1), value), observation(august(9), "9")])
        const whole = hours(0, 10)
        const latest = [day(7), data(25, [observation(august(9), "9")]), hours(8, 10)] as const
        // The fifth confirmed the first, the seventh is of the last hours only, and the third comes late.
        yield* store(25, 0, [day(1), both(25, "1"), whole], [day(5), both(25, "1"), whole], latest)
        assert.strictEqual((yield* store(25, 3, [day(3), both(25, "3"), whole])).overruled, 1)
        assert.deepStrictEqual((yield* history(25))[0], [1, "1", 1])
        // Nor does it when the newer of two late ones came first.
        yield* store(26, 0, [day(7), { ...latest[1], councilId: 26 }, latest[2]], [day(5), both(26, "5"), whole])
        yield* store(26, 2, [day(3), both(26, "3"), whole])
        assert.deepStrictEqual((yield* history(26)).slice(0, 2), [
          [1, "3", 3, 5],
          [1, "5", 5]
        ])
      })
    )

    it.effect("keeps the same table whichever of two documents comes first", () =>
      Effect.gen(function* () {
        const older = [
          day(1),
          data(23, [observation(august(1), "1"), observation(august(2), "2"), observation(august(3), "3")]),
          hours(0, 5)
        ] as const
        const newer = [
          day(3),
          data(23, [observation(august(1), "1"), observation(august(3), "3.3"), observation(august(4), "4")]),
          hours(1, 4)
        ] as const
        yield* store(23, 0, older, newer)
        yield* store(24, 0, [newer[0], { ...newer[1], councilId: 24 }, newer[2]])
        yield* store(24, 1, [older[0], { ...older[1], councilId: 24 }, older[2]])
        assert.deepStrictEqual(yield* stored(24), yield* stored(23))
        assert.deepStrictEqual(yield* history(23), [
          [1, "1", 1],
          [2, "2", 1, 3],
          [3, "3", 1, 3],
          [3, "3.3", 3],
          [4, "4", 3]
        ])
      })
    )

    it.effect("passes over offsets it has kept, of a whole batch and of a part", () =>
      Effect.gen(function* () {
        const first = [day(1), data(10, [observation(august(1), "1")])] as const
        const second = [day(2), data(10, [observation(august(1), "2")])] as const
        const third = [day(3), data(10, [observation(august(1), "1")])] as const
        yield* store(10, 100, first, second)
        const before = yield* stored(10)
        const nothing = { added: 0, corrected: 0, removed: 0, overruled: 0 }
        assert.deepStrictEqual(yield* store(10, 100, first, second), nothing)
        assert.deepStrictEqual(yield* store(10, 100, first), nothing)
        assert.deepStrictEqual(yield* stored(10), before)
        assert.strictEqual((yield* store(10, 100, first, second, third)).corrected, 1)
        assert.deepStrictEqual(yield* history(10), [
          [1, "1", 1, 2],
          [1, "2", 2, 3],
          [1, "1", 3]
        ])
      })
    )

    it.effect(
      "goes on with offsets that were kept under a former name, once, and never gives them to a later log",
      () =>
        Effect.gen(function* () {
          const { store } = yield* ObservationStore
          const at = (offset: number, value: string): StoreMessage => ({
            offset,
            message: data(71, [observation(august(offset), value)]),
            seenAt: day(1)
          })
          const keep = (log: string, partition: number, message: StoreMessage, formerTopic?: string) =>
            Effect.map(
              store({ topic: `renamed@${log}`, formerTopic, partition, messages: [message] }),
              ({ added }) => added
            )
          const former = "renamed@cluster"
          assert.strictEqual(yield* keep("cluster", 0, at(4, "1")), 1)
          assert.strictEqual(yield* keep("cluster", 1, at(5, "1")), 1)
          assert.strictEqual(yield* keep("cluster@one", 0, at(3, "1"), former), 0)
          assert.strictEqual(yield* keep("cluster@one", 0, at(6, "1"), former), 1)
          assert.strictEqual(yield* keep("cluster@one", 1, at(2, "1"), former), 0)
          // A log that came later, though the group stood in it when it was first seen; and what an old instance kept meanwhile.
          assert.strictEqual(yield* keep("cluster", 0, at(7, "1")), 1)
          assert.strictEqual(yield* keep("cluster@two", 0, at(1, "1"), former), 1)
          assert.strictEqual(yield* keep("cluster@two", 1, at(0, "1"), former), 1)
        })
    )

    it.effect("counts the last row of a message that repeats a time", () =>
      Effect.gen(function* () {
        const repeating = data(11, [
          observation(august(2), "5"),
          observation(august(1), "1"),
          observation(august(1), "2"),
          observation(august(1), "3")
        ])
        assert.strictEqual((yield* store(11, 0, [day(1), repeating])).added, 2)
        assert.deepStrictEqual(yield* store(11, 1, [day(2), repeating]), {
          added: 0,
          corrected: 0,
          removed: 0,
          overruled: 0
        })
        assert.deepStrictEqual(yield* history(11), [
          [1, "3", 1],
          [2, "5", 1]
        ])
      })
    )

    it.effect("takes a second document of the same millisecond for a correction", () =>
      Effect.gen(function* () {
        const values = ["1", "2", "3"].map((value) => [day(1), data(12, [observation(august(1), value)])] as const)
        assert.deepStrictEqual(yield* store(12, 0, ...values), { added: 1, corrected: 2, removed: 0, overruled: 0 })
        const { versions } = yield* stored(12)
        assert.deepStrictEqual(
          versions.map(({ value }) => value),
          ["1", "2", "3"]
        )
        assert.strictEqual(versions.filter(({ supersededAt }) => supersededAt === undefined).length, 1)
      })
    )

    it.effect("splits a message over several months, and reads times with any offset", () =>
      Effect.gen(function* () {
        const values = ["2026-07-31T23:59:59+12:00", "2026-07-31T12:00:00Z", "2026-09-01T00:00:00+12:00"]
        const message = data(
          13,
          values.map((at, index) => observation(at, String(index)))
        )
        assert.strictEqual((yield* store(13, 0, [day(1), message])).added, 3)
        const late = data(13, [observation("2026-08-01T00:00:00+12:00", "9")])
        assert.strictEqual((yield* store(13, 1, [day(0), late])).overruled, 1)
        assert.deepStrictEqual(
          (yield* stored(13)).versions.map(({ at, value }) => [at, value]),
          [
            [Date.parse(values[0]!), "0"],
            // What the late document had is known for the day before.
            [Date.parse(values[1]!), "9"],
            [Date.parse(values[1]!), "1"],
            [Date.parse(values[2]!), "2"]
          ]
        )
      })
    )

    it.effect("keeps series of one site and sites of one council apart", () =>
      Effect.gen(function* () {
        const values = [observation(august(1), "1")]
        yield* store(
          14,
          0,
          [day(1), data(14, values)],
          [day(1), data(14, values, { measurementName: "Stage" })],
          [day(1), data(14, values, { siteName: "Tāmaki 🌊 'x\" & \\ " })],
          [day(1), data(15, values)]
        )
        const view = yield* Stored
        assert.strictEqual((yield* view.series(14, "Hutt River at Taita Gorge", "Stage"))?.count, 1)
        assert.strictEqual((yield* view.series(14, "Tāmaki 🌊 'x\" & \\ ", "Flow"))?.count, 1)
        assert.strictEqual((yield* view.series(15, "Hutt River at Taita Gorge", "Flow"))?.count, 1)
        assert.isUndefined(yield* view.series(15, "Hutt River at Taita Gorge", "Stage"))
      })
    )

    it.effect("tells series of one name apart by what was asked for, its column and its units", () =>
      Effect.gen(function* () {
        const flow = { measurement: "Flow", item: 1, units: "l/s" }
        const others = [
          { ...flow, measurement: "Stage" },
          { ...flow, item: 2 },
          { ...flow, units: "m³/s" },
          { measurement: "Flow", item: 1 },
          {}
        ]
        const from = [observation(august(1), "1"), observation(august(2), "1")]
        yield* store(32, 0, [day(1), data(32, from, flow), hours(0, 9)])
        for (const [index, other] of others.entries()) {
          yield* store(32, index + 1, [day(2 + index), data(32, [observation(august(1), "2")], other), hours(0, 9)])
        }
        const view = yield* Stored
        const kept = ({ item, measurement, units }: Partial<ObservationData>) =>
          view.series(32, "Hutt River at Taita Gorge", "Flow", {
            ...(measurement === undefined ? {} : { measurement }),
            ...(item === undefined ? {} : { item }),
            ...(units === undefined ? {} : { inUnits: units })
          })
        const first = yield* kept(flow)
        assert.deepStrictEqual([first?.count, first?.versions.length, first?.units], [2, 2, "l/s"])
        for (const other of others) {
          const series = yield* kept(other)
          const { units } = other as Partial<ObservationData>
          assert.deepStrictEqual([series?.count, series?.versions.length, series?.units], [1, 1, units])
        }
      })
    )

    it.effect("keeps both units where the list has others than the document, until it agrees", () =>
      Effect.gen(function* () {
        const values = [observation(august(1), "1")]
        const identity = { measurement: "Flow", item: 1, inUnits: "m³/s" }
        const listed = Stored.use((view) =>
          Effect.map(view.series(33, "Hutt River at Taita Gorge", "Flow", identity), (one) => [
            one?.units,
            one?.listedUnits
          ])
        )
        const flow = { measurement: "Flow", item: 1, units: "m³/s" }
        yield* store(33, 0, [day(2), data(33, values, { ...flow, listedUnits: "l/s" })])
        assert.deepStrictEqual(yield* listed, ["m³/s", "l/s"])
        yield* store(33, 1, [day(1), data(33, values, flow)])
        assert.deepStrictEqual(yield* listed, ["m³/s", "l/s"])
        yield* store(33, 2, [day(3), data(33, values, flow)])
        assert.deepStrictEqual(yield* listed, ["m³/s", undefined])
      })
    )

    it.effect("removes for a source only what it said itself, and agrees with another about equal values", () =>
      Effect.gen(function* () {
        const [a, b] = [{ source: "http://archive" }, { source: "http://telemetry" }]
        const at = (...all: ReadonlyArray<readonly [number, string]>) =>
          all.map(([hour, value]) => observation(august(hour), value))
        const whole = hours(0, 9)
        yield* store(34, 0, [day(1), data(34, at([1, "1"], [2, "2"]), a), whole])
        const second = yield* store(34, 1, [day(2), data(34, at([2, "2.0"], [3, "3"]), b), whole])
        assert.deepStrictEqual([second.added, second.corrected, second.removed], [1, 0, 0])
        assert.deepStrictEqual(yield* history(34), [
          [1, "1", 1],
          [2, "2", 1],
          [3, "3", 2]
        ])
        // Each takes back what it said: of an equal value the other still has it.
        yield* store(34, 2, [day(3), data(34, at([2, "2"]), a), whole], [day(4), data(34, at([3, "3"]), b), whole])
        assert.deepStrictEqual(yield* history(34), [
          [1, "1", 1, 3],
          [2, "2", 1],
          [3, "3", 2]
        ])
        yield* store(34, 4, [day(5), data(34, at([4, "4"]), a), whole])
        assert.deepStrictEqual(yield* history(34), [
          [1, "1", 1, 3],
          [2, "2", 1, 5],
          [3, "3", 2],
          [4, "4", 5]
        ])
        const { count, firstObservedAt, lastObservedAt } = yield* stored(34)
        assert.deepStrictEqual([count, firstObservedAt, lastObservedAt], [2, instant(august(3)), instant(august(4))])
      })
    )

    it.effect("lets the value count that was said last where two sources differ, and no repetition change it", () =>
      Effect.gen(function* () {
        const [a, b] = [{ source: "http://archive" }, { source: "http://telemetry" }]
        const said = (value: string, more: object) => data(35, [observation(august(1), value)], more)
        const whole = hours(0, 9)
        yield* store(35, 0, [day(1), said("5", a), whole], [day(2), said("6", b), whole])
        for (let n = 3; n < 9; n++)
          yield* store(35, n, [day(n), said(n % 2 === 0 ? "6" : "5", n % 2 === 0 ? b : a), whole])
        assert.deepStrictEqual(yield* history(35), [
          [1, "5", 1, 2],
          [1, "6", 2]
        ])
        yield* store(35, 9, [day(9), said("7", a), whole], [day(10), said("6", b), whole])
        assert.deepStrictEqual((yield* history(35)).at(-1), [1, "7", 9])
        // What the last one takes back, the other still says.
        yield* store(35, 11, [day(11), data(35, [observation(august(2), "1")], a), whole])
        assert.deepStrictEqual(
          (yield* history(35)).filter(([, , , end]) => end === undefined),
          [
            [1, "6", 11],
            [2, "1", 11]
          ]
        )
      })
    )

    it.effect("keeps the same table however the documents of two sources come between each other", () =>
      Effect.gen(function* () {
        const whole = hours(0, 9)
        const of = (council: number, source: string) =>
          (
            [
              [1, "1", "2"],
              [4, "1", "3"],
              [6, "2", "3"]
            ] as const
          ).map(
            ([seen, ...values]) =>
              [
                day(seen + (source === "http://b" ? 1 : 0)),
                data(
                  council,
                  values.map((value, n) => observation(august(n + seen), value)),
                  { source }
                ),
                whole
              ] as const
          )
        const tables: Array<unknown> = []
        for (const [council, order] of [
          [36, [0, 3, 1, 4, 2, 5]],
          [37, [0, 1, 2, 3, 4, 5]],
          [38, [3, 4, 5, 0, 1, 2]]
        ] as const) {
          const all = [...of(council, "http://a"), ...of(council, "http://b")]
          yield* store(council, 0, ...order.map((n) => all[n]!))
          tables.push(yield* history(council), (yield* stored(council)).count)
        }
        assert.deepStrictEqual(tables.slice(2, 4), tables.slice(0, 2))
        assert.deepStrictEqual(tables.slice(4), tables.slice(0, 2))
      })
    )

    it.effect("keeps known units when a message has none, and those of the newest document", () =>
      Effect.gen(function* () {
        const values = [observation(august(1), "1")]
        yield* store(16, 0, [day(2), data(16, values, { units: "m³/s" })], [day(3), data(16, values)])
        assert.strictEqual((yield* stored(16)).units, "m³/s")
        yield* store(16, 2, [day(1), data(16, values, { units: "old" })], [day(4), data(16, values, { units: "l/s" })])
        assert.strictEqual((yield* stored(16)).units, "l/s")
      })
    )

    it.effect("refuses a batch with something impossible in it, keeps nothing of it, and goes on", () =>
      Effect.gen(function* () {
        const good = [day(1), data(17, [observation(august(1), "1")])] as const
        const impossible = [
          data(17, [observation("2026-02-30T00:00:00+12:00", "1")]),
          data(17, [observation("yesterday", "1")]),
          data(17, [observation(august(1), "1")], { measurementName: "a\0b" })
        ]
        for (const message of impossible) {
          const error = yield* Effect.flip(store(17, 0, good, [day(1), message]))
          assert.strictEqual(error._tag, "BatchRefused")
          assert.isUndefined(yield* site(17))
        }
        assert.strictEqual((yield* store(17, 0, good)).added, 1)
      })
    )
  })
