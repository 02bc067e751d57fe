/**
 * What every ObservationArchive promises, told from what the store beside it was given; run over memory and PostgreSQL.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { ObservationArchive, type SeriesRange, type SiteWithSeries } from "../../src/api/ObservationArchive.ts"
import type { ObservationMessage } from "../../src/domain/Observation.ts"
import type { Coverage } from "../../src/stream/documentCoverage.ts"
import { ObservationStore } from "../../src/stream/ObservationStore.ts"

const minute = (n: number) => Date.UTC(2026, 7, 1) + n * 60_000
const day = (n: number) => Date.UTC(2026, 8, n)

let offset = 0
const store = (seenAt: number, message: ObservationMessage, covers?: Coverage) =>
  ObservationStore.use((observations) =>
    observations.store({
      topic: "archive",
      partition: message.councilId,
      messages: [{ offset: offset++, seenAt, message, covers }]
    })
  )
const data = (
  councilId: number,
  values: ReadonlyArray<readonly [number, string]>,
  measurementName = "Flow"
): ObservationMessage => ({
  type: "OBSERVATION_DATA",
  councilId,
  siteName: "Awa",
  measurementName,
  units: "m³/s",
  observations: values.map(([n, value]) => ({ observedAt: new Date(minute(n)).toISOString(), value }))
})

/** The only site of the council. */
const siteOf = (councilId: number) =>
  ObservationArchive.use((archive) =>
    Effect.gen(function* () {
      const all = yield* archive.listSites({ after: 0, limit: 1_000 })
      const { id } = all.find(({ council_id }) => council_id === councilId)!
      return (yield* archive.findSite(id))!
    })
  )
const seriesId = ({ series }: SiteWithSeries, name = "Flow") =>
  series.find(({ measurement_name }) => measurement_name === name)!.id

const everything = { from: undefined, to: undefined, asOf: undefined, after: undefined, limit: 1_000 }
/** As `[minute, value]`. */
const valuesOf = (seriesId: number, range: Partial<SeriesRange> = {}) =>
  ObservationArchive.use((archive) => archive.read({ seriesId, ...everything, ...range })).pipe(
    Effect.map((rows) => rows.map(({ at, value }) => [(at - minute(0)) / 60_000, value]))
  )

export const observationArchiveSuite = <E>(
  name: string,
  archives: Layer.Layer<ObservationStore | ObservationArchive, E>
) =>
  layer(archives, { excludeTestServices: true })(name, (it) => {
    it.effect("lists sites with where they lie, in the order of their ids", () =>
      Effect.gen(function* () {
        const archive = yield* ObservationArchive
        const places = [
          { location: { easting: 1_769_471.5, northing: 5_426_917, projection: "NZTM2000" } },
          { location: { easting: 1, northing: 2 } },
          { location: null, geographicLocation: { latitude: -41.25, longitude: 174.5 } },
          { location: null }
        ]
        for (const [index, place] of places.entries()) {
          yield* store(day(1), { type: "SITE_DETAILS", councilId: 100, siteName: `Site ${index}`, ...place })
        }
        const all = yield* archive.listSites({ after: 0, limit: 1_000 })
        const ours = all.filter(({ council_id }) => council_id === 100)
        assert.deepStrictEqual(
          ours.map(({ location }) => location),
          [
            { easting: 1_769_471.5, northing: 5_426_917, projection: "NZTM2000" },
            { easting: 1, northing: 2, projection: null },
            { latitude: -41.25, longitude: 174.5 },
            null
          ]
        )
        assert.deepStrictEqual(yield* archive.listSites({ after: ours[0]!.id, limit: 1 }), ours.slice(1, 2))
        assert.isUndefined(yield* archive.findSite(2_147_483_647))
        assert.isFalse(yield* archive.hasSeries(2_147_483_647))
        assert.deepStrictEqual(yield* valuesOf(2_147_483_647), [])
      })
    )

    it.effect("tells a site's series by name, with the ends and the number of what is known now", () =>
      Effect.gen(function* () {
        yield* store(
          day(1),
          data(
            101,
            [
              [5, "1"],
              [1, "2"]
            ],
            "Stage"
          )
        )
        yield* store(
          day(1),
          data(101, [
            [3, "1"],
            [4, "1"],
            [5, "1"]
          ])
        )
        yield* store(day(2), data(101, [[4, "1"]]), { from: minute(2), until: minute(9) })
        const site = yield* siteOf(101)
        assert.deepStrictEqual(
          site.series.map((series) => ({ ...series, id: 0 })),
          [
            {
              id: 0,
              measurement_name: "Flow",
              measurement: null,
              units: "m³/s",
              first_observed_at: minute(4),
              last_observed_at: minute(4),
              count: 1
            },
            {
              id: 0,
              measurement_name: "Stage",
              measurement: null,
              units: "m³/s",
              first_observed_at: minute(1),
              last_observed_at: minute(5),
              count: 2
            }
          ]
        )
        assert.isTrue(yield* (yield* ObservationArchive).hasSeries(seriesId(site)))
      })
    )

    it.effect("tells a value of a time yet to come from the newest", () =>
      Effect.gen(function* () {
        const years = 10 * 365 * 1_440
        yield* store(
          day(1),
          data(130, [
            [1, "1"],
            [years, "2"]
          ])
        )
        const [series] = (yield* siteOf(130)).series
        assert.deepInclude(series, { count: 2, last_observed_at: minute(1), ahead_observed_at: minute(years) })
      })
    )

    it.effect("finds a corrected, a removed, a returned and a late value as they were known at each moment", () =>
      Effect.gen(function* () {
        const covers = { from: minute(0), until: minute(9) }
        yield* store(
          day(1),
          data(102, [
            [1, "1"],
            [2, "2"],
            [3, "3"]
          ]),
          covers
        )
        yield* store(
          day(3),
          data(102, [
            [1, "1.10"],
            [2, "2"]
          ]),
          covers
        )
        yield* store(
          day(5),
          data(102, [
            [1, "1.10"],
            [2, "2"],
            [3, "3"],
            [4, "4"]
          ]),
          covers
        )
        // Fetched on the second, stored last.
        yield* store(
          day(2),
          data(102, [
            [1, "1"],
            [2, "2"],
            [3, "3"],
            [5, "5"]
          ]),
          covers
        )
        const id = seriesId(yield* siteOf(102))
        const known: ReadonlyArray<readonly [asOf: number, ReadonlyArray<readonly [number, string]>]> = [
          [day(1) - 1, []],
          [
            day(1),
            [
              [1, "1"],
              [2, "2"],
              [3, "3"]
            ]
          ],
          [
            day(2) - 1,
            [
              [1, "1"],
              [2, "2"],
              [3, "3"]
            ]
          ],
          [
            day(2),
            [
              [1, "1"],
              [2, "2"],
              [3, "3"],
              [5, "5"]
            ]
          ],
          [
            day(5) - 1,
            [
              [1, "1.10"],
              [2, "2"],
              [5, "5"]
            ]
          ],
          [
            day(5),
            [
              [1, "1.10"],
              [2, "2"],
              [3, "3"],
              [4, "4"]
            ]
          ],
          [
            day(30),
            [
              [1, "1.10"],
              [2, "2"],
              [3, "3"],
              [4, "4"]
            ]
          ]
        ]
        for (const [asOf, expected] of known) {
          assert.deepStrictEqual(yield* valuesOf(id, { asOf }), expected as never, new Date(asOf).toISOString())
        }
        assert.deepStrictEqual(yield* valuesOf(id), [
          [1, "1.10"],
          [2, "2"],
          [3, "3"],
          [4, "4"]
        ])
      })
    )

    it.effect("tells one version apart where documents of one millisecond contradict each other", () =>
      Effect.gen(function* () {
        for (const value of ["1", "2", "3"]) yield* store(day(1), data(103, [[1, value]]))
        const id = seriesId(yield* siteOf(103))
        assert.deepStrictEqual(yield* valuesOf(id, { asOf: day(1) }), [[1, "3"]])
        assert.deepStrictEqual(yield* valuesOf(id, { asOf: day(1) - 1 }), [])
      })
    )

    it.effect("reads a range from its start up to its end, piece by piece", () =>
      Effect.gen(function* () {
        yield* store(
          day(1),
          data(
            104,
            [0, 1, 2, 3, 4, 5, 6].map((n) => [n, String(n)])
          )
        )
        const id = seriesId(yield* siteOf(104))
        const minutes = (range: Partial<SeriesRange>) =>
          Effect.map(valuesOf(id, range), (values) => values.map(([n]) => n))
        assert.deepStrictEqual(yield* minutes({ from: minute(2), to: minute(5) }), [2, 3, 4])
        assert.deepStrictEqual(yield* minutes({ from: minute(2), after: minute(3), limit: 2 }), [4, 5])
        assert.deepStrictEqual(yield* minutes({ from: minute(4), after: minute(1) }), [4, 5, 6])
        assert.deepStrictEqual(yield* minutes({ from: minute(3), to: minute(3) }), [])
      })
    )
  })
