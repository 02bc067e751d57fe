/**
 * Observations over HTTP, as their readers get them: digits, times, pages, history, JSON and CSV.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { PgObservationPacking } from "../../layers/observations/PgObservationPacking.ts"
import { formatNzst } from "../../src/hilltop/Nzst.ts"
import { ApiUnderTest, type Asked, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

const ask = (path: string, asked: Asked = {}) =>
  Effect.flatMap(ApiUnderTest, (api) => api.ask(path, { key: keyOf("read"), ...asked }))

interface Page {
  readonly items: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly next_cursor: string | null
}
const page = (path: string) => Effect.map(ask(path), ({ json }) => json as Page)

const first = Date.UTC(2026, 6, 31, 12)
/** 12,000 values of five minutes from the first of August NZST, the hundredth of them corrected and the second removed. */
const arrange = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    INSERT INTO observation_sites (council_id, name, easting, northing, projection)
    VALUES (9, 'Awa-a-Tāne', 1769471.5, 5426917, 'NZTM2000')`
  yield* sql`
    INSERT INTO observation_sites_measurements (site_id, measurement_name, units, first_observed_at, last_observed_at,
      observation_count)
    SELECT id, 'Flow', 'm³/s', '2026-07-31T12:00:00Z', '2026-09-11T03:55:00Z', 11999 FROM observation_sites`
  yield* sql`
    INSERT INTO observations (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
    SELECT 1, timestamptz '2026-07-31T12:00:00Z' + n * interval '5 minutes',
      CASE n WHEN 0 THEN 12.50 WHEN 2 THEN 1234567890123456789.000000000000000000001 ELSE n END,
      CASE n WHEN 2 THEN '<' END, CASE n WHEN 2 THEN 500 END, '2026-10-01T00:00:00Z',
      CASE n WHEN 1 THEN timestamptz '2026-10-02T00:00:00Z' WHEN 99 THEN '2026-10-03T00:00:00Z' END
    FROM generate_series(0, 11999) AS n`
  yield* sql`
    INSERT INTO observations (series_id, observed_at, value, first_seen_at)
    VALUES (1, timestamptz '2026-07-31T12:00:00Z' + 99 * interval '5 minutes', -0.5, '2026-10-03T00:00:00Z')`
})
const series = "/observation/series/1"
const inAugust = "from=2026-08-01T00:00:00%2B12:00&to=2026-09-01T00:00:00%2B12:00"

it.layer(layer, { excludeTestServices: true })("observations", (it) => {
  it.effect("are found by site and series", () =>
    Effect.gen(function* () {
      yield* arrange
      const site = {
        id: 1,
        council_id: 9,
        name: "Awa-a-Tāne",
        location: { easting: 1769471.5, northing: 5426917, projection: "NZTM2000" },
        wgs84: { latitude: -41.2914115, longitude: 175.0239678 }
      }
      const listed = { ...site, series_count: 1, last_observed_at: "2026-09-11T15:55:00+12:00" }
      for (const query of ["", "?council=9", "?name=A-T%C4%81", "?limit=1"]) {
        assert.deepStrictEqual((yield* ask(`/observation/site${query}`)).json, { items: [listed], next_cursor: null })
      }
      for (const query of ["?council=8", "?name=%25", "?cursor=1"]) {
        assert.deepStrictEqual((yield* ask(`/observation/site${query}`)).json, { items: [], next_cursor: null })
      }
      assert.deepStrictEqual((yield* ask("/observation/site/1")).json, {
        ...site,
        series: [
          {
            id: 1,
            measurement_name: "Flow",
            measurement: null,
            units: "m³/s",
            first_observed_at: "2026-08-01T00:00:00+12:00",
            last_observed_at: "2026-09-11T15:55:00+12:00",
            count: 11999
          }
        ]
      })
    })
  )

  it.effect("keep their digits, and say in which offset their times are", () =>
    Effect.gen(function* () {
      const answered = yield* ask(`${series}?limit=2`)
      assert.strictEqual(answered.headers.get("content-type"), "application/json")
      assert.strictEqual(
        answered.text,
        `{"items":[{"observed_at":"2026-08-01T00:00:00+12:00","value":12.50,"first_seen_at":"2026-10-01T00:00:00.000Z"},` +
          `{"observed_at":"2026-08-01T00:10:00+12:00","value":1234567890123456789.000000000000000000001,"qualifier":"<","quality":500,` +
          `"first_seen_at":"2026-10-01T00:00:00.000Z"}],"next_cursor":"2026-07-31T12:10:00.000Z"}`
      )
      const csv = yield* ask(`${series}?limit=2`, { headers: { accept: "text/csv" } })
      assert.match(csv.headers.get("content-type") ?? "", /^text\/csv/)
      assert.strictEqual(
        csv.text,
        "observed_at,value,qualifier,quality,first_seen_at\n" +
          "2026-08-01T00:00:00+12:00,12.50,,,2026-10-01T00:00:00.000Z\n" +
          "2026-08-01T00:10:00+12:00,1234567890123456789.000000000000000000001,<,500,2026-10-01T00:00:00.000Z\n"
      )
    })
  )

  it.effect("are read by month, in UTC or at +12:00, with the plus encoded or not", () =>
    Effect.gen(function* () {
      const queries = [
        inAugust,
        "from=2026-08-01T00:00:00+12:00&to=2026-09-01T00:00:00+12:00",
        "from=2026-07-31T12:00:00Z&to=2026-08-31T12:00:00Z"
      ]
      for (const query of queries) {
        const { items, next_cursor } = yield* page(`${series}?${query}`)
        assert.strictEqual(items.length, 31 * 288 - 1)
        assert.strictEqual(items.at(-1)?.["observed_at"], "2026-08-31T23:55:00+12:00")
        assert.isNull(next_cursor)
      }
    })
  )

  it.effect("are paged without a gap or a repetition, to the last page", () =>
    Effect.gen(function* () {
      for (const limit of [5_000, 6_000, 11_999, 12_000]) {
        const times: Array<unknown> = []
        let cursor: string | null = ""
        let pages = 0
        while (cursor !== null) {
          const one: Page = yield* page(`${series}?limit=${limit}${cursor && `&cursor=${cursor}`}`)
          assert.isAtMost(one.items.length, limit)
          times.push(...one.items.map((item) => item["observed_at"]))
          cursor = one.next_cursor
          pages++
        }
        assert.strictEqual(pages, Math.ceil(11_999 / limit))
        const expected = Array.from({ length: 12_000 }, (_, n) => formatNzst(first + n * 300_000))
        assert.deepStrictEqual(times, expected.toSpliced(1, 1))
      }
      assert.strictEqual((yield* page(series)).items.length, 10_000)
    })
  )

  it.effect("come as CSV whole, and go on after the last line that was read", () =>
    Effect.gen(function* () {
      const whole = (yield* ask(series, { headers: { accept: "text/csv" } })).text.trimEnd().split("\n")
      assert.strictEqual(whole.length, 1 + 11_999)
      const accept = "application/json;q=0.5, text/csv"
      const begin = (yield* ask(`${series}?limit=7000`, { headers: { accept } })).text.trimEnd().split("\n")
      const after = begin.at(-1)?.split(",")[0]
      const rest = (yield* ask(`${series}?cursor=${after}`, { headers: { accept } })).text.trimEnd().split("\n")
      assert.deepStrictEqual([...begin, ...rest.slice(1)], whole)
      const json = yield* ask(`${series}?limit=1`, { headers: { accept: "text/html, */*;q=0.1" } })
      assert.strictEqual(json.headers.get("content-type"), "application/json")
    })
  )

  it.effect("are told as they were known at any moment", () =>
    Effect.gen(function* () {
      const known = (asOf: string) =>
        Effect.map(page(`${series}?${inAugust}&as_of=${asOf}`), ({ items }) => [
          items.length,
          items.find((item) => item["observed_at"] === "2026-08-01T00:05:00+12:00")?.["value"],
          items.find((item) => item["observed_at"] === "2026-08-01T08:15:00+12:00")?.["value"]
        ])
      assert.deepStrictEqual(yield* known("2026-09-30T23:59:59.999Z"), [0, undefined, undefined])
      assert.deepStrictEqual(yield* known("2026-10-01T00:00:00Z"), [8_928, 1, 99])
      assert.deepStrictEqual(yield* known("2026-10-02T11:59:59.999%2B12:00"), [8_928, 1, 99])
      assert.deepStrictEqual(yield* known("2026-10-02T00:00:00Z"), [8_927, undefined, 99])
      assert.deepStrictEqual(yield* known("2026-10-03T00:00:00Z"), [8_927, undefined, -0.5])
    })
  )

  it.effect("are refused where the question is not clear, and to those without a key for them", () =>
    Effect.gen(function* () {
      const queries = [
        "from=2026-08-01T00:00:00",
        "from=2026-08-01",
        "to=yesterday",
        "as_of=2026-02-30T00:00:00Z",
        "limit=0",
        "limit=100001",
        "cursor=5",
        "from=2026-09-01T00:00:00Z&to=2026-08-01T00:00:00Z"
      ]
      for (const query of queries) {
        const answered = yield* ask(`${series}?${query}`)
        assert.strictEqual(answered.status, 400, query)
        assert.match(problemIn(answered).detail, /^(?:from|to|as_of|limit|cursor): must/)
      }
      assert.match(problemIn(yield* ask(`${series}?from=2026-08-01T00:00:00`)).detail, /with an offset/)
      const unknown = { [series.replace("1", "2")]: "series", "/observation/site/2": "site" }
      for (const [path, what] of Object.entries(unknown)) {
        const answered = yield* ask(path)
        assert.strictEqual(answered.status, 404)
        assert.strictEqual(problemIn(answered).type, `urn:penstock:problem:${what}-unknown`)
      }
      for (const path of [series, "/observation/site", "/observation/site/1"]) {
        assert.strictEqual((yield* ask(path, { key: undefined })).status, 401)
        assert.strictEqual((yield* ask(path, { key: keyOf("admin") })).status, 403)
      }
    })
  )

  interface Plot {
    readonly thinned: boolean
    readonly values: number
    readonly usual_gap_seconds: number
    readonly t: ReadonlyArray<number>
    readonly min: ReadonlyArray<number | null>
    readonly max: ReadonlyArray<number | null>
    readonly n: ReadonlyArray<number>
    readonly censored: ReadonlyArray<number>
    readonly corrected: ReadonlyArray<number>
    readonly quality: ReadonlyArray<number | null>
    readonly known_from: string
    readonly known_to: string
    readonly series: Readonly<Record<string, unknown>>
  }
  const plot = (query: string) => Effect.map(ask(`${series}/plot?${query}`), ({ json }) => json as Plot)
  const sum = (all: ReadonlyArray<number>) => all.reduce((one, other) => one + other, 0)

  it.effect("are thinned for a picture: no peak is lost, each is counted once, and corrections are told", () =>
    Effect.gen(function* () {
      const thin = yield* plot("points=100")
      assert.isTrue(thin.thinned)
      assert.deepStrictEqual([thin.t.length, thin.values, sum(thin.n)], [100, 11_999, 11_999])
      assert.deepInclude(thin.series, { site_name: "Awa-a-Tāne", measurement_name: "Flow", units: "m³/s" })
      assert.strictEqual(Math.min(...thin.min.map(Number)), -0.5)
      assert.strictEqual(Math.max(...thin.max.map(Number)), Number("1234567890123456789"))
      assert.deepStrictEqual([sum(thin.censored), sum(thin.corrected), thin.quality[0]], [1, 2, 500])
      assert.deepStrictEqual(
        thin.t,
        [...thin.t].sort((a, b) => a - b)
      )
      assert.strictEqual(thin.usual_gap_seconds, 300)
      assert.deepStrictEqual(
        [thin.known_from, thin.known_to],
        ["2026-10-01T12:00:00+12:00", "2026-10-03T12:00:00+12:00"]
      )

      const few = yield* plot("points=10&to=2026-08-01T00:45:00%2B12:00")
      assert.isFalse(few.thinned)
      assert.deepStrictEqual(few.n, [1, 1, 1, 1, 1, 1, 1, 1])
      assert.deepStrictEqual(few.min.slice(2), [3, 4, 5, 6, 7, 8])
      const before = yield* plot("points=10&to=2026-08-01T00:45:00%2B12:00&as_of=2026-10-01T12:00:00Z")
      assert.deepStrictEqual([before.min[1], before.n.length, sum(before.corrected)], [1, 9, 0])
      assert.deepStrictEqual((yield* plot("as_of=2020-01-01T00:00:00Z")).n, [])
      for (const [query, status] of [
        ["points=9", 400],
        ["points=5001", 400],
        ["from=2026-08-01T00:00:00Z&to=2026-07-01T00:00:00Z", 400]
      ] as const) {
        assert.strictEqual((yield* ask(`${series}/plot?${query}`)).status, status)
      }
      assert.strictEqual((yield* ask("/observation/series/99/plot")).status, 404)
    })
  )

  it.effect("show a gap in the picture where values are missing for longer than usual", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [{ id } = { id: 0 }] = yield* sql<{ id: number }>`
        INSERT INTO observation_sites_measurements (site_id, measurement_name) VALUES (1, 'Rain') RETURNING id`
      yield* sql`
        INSERT INTO observations (series_id, observed_at, value, first_seen_at)
        SELECT ${id}, timestamptz '2026-08-01T00:00:00Z' + n * interval '1 hour', n, now() FROM generate_series(0, 999) AS n WHERE n NOT BETWEEN 300 AND 699`
      const { json } = yield* ask(`/observation/series/${id}/plot?points=5000`)
      const whole = json as Plot
      const gaps = whole.n.flatMap((n, at) => (n === 0 ? [at] : []))
      assert.deepStrictEqual([gaps, whole.min[300], whole.t.length], [[300], null, 601])
      const thin = (yield* ask(`/observation/series/${id}/plot?points=100`)).json as Plot
      assert.lengthOf(
        thin.n.filter((n) => n === 0),
        1
      )
      assert.strictEqual(sum(thin.n), 600)
    })
  )

  it.effect("tell what was corrected and removed, version by version", () =>
    Effect.gen(function* () {
      const all = yield* page(`${series}/version`)
      assert.deepStrictEqual(all.items, [
        {
          observed_at: "2026-08-01T00:05:00+12:00",
          value: 1,
          first_seen_at: "2026-10-01T00:00:00.000Z",
          superseded_at: "2026-10-02T00:00:00.000Z"
        },
        {
          observed_at: "2026-08-01T08:15:00+12:00",
          value: 99,
          first_seen_at: "2026-10-01T00:00:00.000Z",
          superseded_at: "2026-10-03T00:00:00.000Z"
        },
        {
          observed_at: "2026-08-01T08:15:00+12:00",
          value: -0.5,
          first_seen_at: "2026-10-03T00:00:00.000Z",
          superseded_at: null
        }
      ])
      const first = yield* page(`${series}/version?limit=1`)
      assert.lengthOf(first.items, 1)
      const rest = yield* page(`${series}/version?limit=2&cursor=${first.next_cursor}`)
      assert.deepStrictEqual([rest.items.length, rest.next_cursor], [2, null])
      assert.strictEqual((yield* ask("/observation/series/99/version")).status, 404)
    })
  )

  it.effect("refuse to tell what was known before their history begins, and tell the rest as ever", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`UPDATE observation_history SET complete_since = '2026-10-02T12:00:00Z'`
      for (const path of [series, `${series}/plot`]) {
        const refused = yield* ask(`${path}?as_of=2026-10-02T11:59:59.999Z`)
        const { detail, type } = problemIn(refused)
        assert.deepStrictEqual([refused.status, type], [404, "urn:penstock:problem:history-not-kept"])
        assert.include(detail, "2026-10-02T12:00:00.000Z")
        assert.strictEqual((yield* ask(`${path}?as_of=2026-10-02T12:00:00Z`)).status, 200)
        assert.strictEqual((yield* ask(path)).status, 200)
      }
      yield* sql`UPDATE observation_history SET complete_since = NULL`
    })
  )

  it.effect("are the same to the byte when their year is packed, and again when it is not", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [{ id } = { id: 0 }] = yield* sql<{ id: number }>`
        INSERT INTO observation_sites_measurements (site_id, measurement_name, first_observed_at, last_observed_at, observation_count)
        VALUES (1, 'Level', '2023-11-01T00:00:00+12:00', '2024-02-28T23:45:00+12:00', 11520) RETURNING id`
      yield* sql`
        INSERT INTO observations (series_id, observed_at, value, qualifier, quality, first_seen_at, superseded_at)
        SELECT ${id}::int4, at, CASE n % 5 WHEN 0 THEN round(n / 7.0, n % 4) WHEN 1 THEN 'NaN' ELSE -n / 1000.0 END, CASE n % 11 WHEN 0 THEN '<' WHEN 1 THEN '>' END,
          nullif(n % 3, 2) * 100, at + version * interval '40 days 1 second' + n % 1000 * interval '1 microsecond',
          CASE WHEN n % 17 = 0 AND version = 0 OR n % 34 = 0 THEN at + (version + 1) * interval '40 days 1 second' + n % 1000 * interval '1 microsecond' END
        FROM generate_series(0, 11519) n, generate_series(0, 1) version, LATERAL (SELECT timestamptz '2023-11-01T00:00:00+12:00' + n * interval '15 minutes') t (at)
        WHERE version = 0 OR n % 17 = 0`
      const own = `/observation/series/${id}`
      const times = [
        "",
        "&as_of=2023-12-24T00:00:00Z",
        "&as_of=2024-02-01T12:00:00.001Z",
        "&as_of=2025-01-01T00:00:00Z"
      ]
      const ranges = [
        "limit=2000",
        "from=2023-12-01T00:00:00Z&to=2024-01-20T00:00:00Z&limit=100000",
        "from=2024-01-05T00:00:00Z&limit=7"
      ]
      const all = Effect.gen(function* () {
        const answers = [
          yield* ask("/observation/site/1"),
          yield* ask(`${own}/version?limit=3000`),
          yield* ask(`${own}/version?from=2024-01-01T00:00:00Z&limit=9`)
        ]
        for (const query of ranges.flatMap((range) => times.map((time) => `${range}${time}`))) {
          answers.push(
            yield* ask(`${own}?${query}`),
            yield* ask(`${own}?${query}`, { headers: { accept: "text/csv" } })
          )
        }
        for (const points of [10, 300, 5_000]) {
          for (const time of times) {
            answers.push(yield* ask(`${own}/plot?points=${points}${time}`))
            answers.push(
              yield* ask(`${own}/plot?points=${points}&from=2023-12-20T00:00:00Z&to=2024-01-10T00:00:00Z${time}`)
            )
          }
        }
        return answers.map(({ headers, status, text }) => ({ status, text, type: headers.get("content-type") }))
      })
      const before = yield* all
      assert.deepStrictEqual([...new Set(before.map(({ status }) => status))], [200])
      const packing = yield* PgObservationPacking(Duration.days(30), { fewInYear: 5_500, mostInPiece: 200_000 })
      yield* sql`UPDATE observation_packing SET swept_table = 'observations_2023'`
      while ((yield* packing.packSome).isMore);
      assert.strictEqual((yield* sql`SELECT FROM observation_packs WHERE series_id = ${id}`).length, 4)
      assert.deepStrictEqual(yield* sql`SELECT FROM observations WHERE series_id = ${id}`, [])
      assert.deepStrictEqual(yield* all, before)
      yield* sql`SELECT unpack_observations(${id}, '2023-12-15T00:00:00Z', '2024-01-15T00:00:00Z')`
      assert.strictEqual((yield* sql`SELECT FROM observation_packs WHERE series_id = ${id}`).length, 2)
      assert.deepStrictEqual(yield* all, before)
    })
  )
})
