/**
 * The API asked at random, from its own OpenAPI document: no answer has a status that is not documented, none is a defect,
 * and every error is a whole problem.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { adapterKnows, answerFor, ApiUnderTest, keyOf, layer, problemIn } from "./ApiUnderTest.ts"
import { gsrnOf } from "../support/gsrns.ts"

interface Operation {
  readonly responses: Readonly<Record<string, unknown>>
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const gsrn = fc.constantFrom(gsrnOf(1), gsrnOf(2))
const time = fc.constantFrom(
  "2026-01-01T00:00:00Z",
  "2026-02-31T25:00:00Z",
  "9999-12-31T23:59:59Z",
  "0000-01-01T00:00:00-23:59"
)
const anything = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  fc.constantFrom("", "\u0000", "\ud800", "1e400", -1, 1e308, 2 ** 53, "01019012345")
)
const nearly = <A>(right: fc.Arbitrary<A>) =>
  fc.oneof({ weight: 4, arbitrary: right as fc.Arbitrary<unknown> }, anything)

/** Bodies that are almost what some endpoint wants. */
const body = fc.oneof(
  anything,
  fc.record(
    {
      end_user: nearly(fc.constantFrom("010190", "912345678")),
      accounting_point: nearly(gsrn),
      controllable_unit: nearly(fc.constant(""))
    },
    { requiredKeys: ["end_user"] }
  ),
  fc.array(fc.record({ gsrn: nearly(gsrn), occurred_at: nearly(time) }), { maxLength: 5 }),
  fc.record(
    {
      accounting_point: nearly(gsrn),
      name: nearly(fc.string()),
      start_date: nearly(fc.constantFrom("2026-01-01", "0000-01-01", "9999-12-31")),
      technical_resources: nearly(fc.array(fc.record({ name: nearly(fc.string()) })))
    },
    { requiredKeys: ["accounting_point", "name"] }
  ),
  fc.record({
    council_id: nearly(fc.integer({ min: 0, max: 3 })),
    hts_url: nearly(fc.webUrl()),
    configuration: nearly(fc.record({ measurementNames: nearly(fc.array(fc.string())), more: anything })),
    paused: nearly(fc.boolean())
  })
)
/** The text as one segment of a path. */
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed())

const segment = fc.oneof(
  gsrn,
  fc.constantFrom("a0000000-0000-4000-8000-000000000001", "1", "2", "0", "-1", "1e3", "9007199254740993", "%00", "%zz"),
  fc.string({ minLength: 1, maxLength: 150 }).map(encoded)
)
const query = fc.dictionary(
  fc.constantFrom("source", "type", "status", "limit", "cursor", "from", "to", "as_of", "x"),
  fc.oneof(
    fc.constantFrom("1", "due", "2026-01-01T00:00:00+12:00", "2026-01-01T00:00:00Z", "SITES_LIST", "9007199254740991"),
    fc.string()
  )
)

const keyFor = (path: string, method: string) =>
  keyOf(
    path.endsWith("/lookup")
      ? "lookup"
      : path.endsWith("/event")
        ? "event"
        : method === "get" && /^\/(?:acc|obs)/.test(path)
          ? "read"
          : "admin"
  )

it.layer(layer, { excludeTestServices: true })("whatever is sent", (it) => {
  it.effect(
    "is answered as the document says",
    () =>
      Effect.gen(function* () {
        const api = yield* ApiUnderTest
        const document = (yield* api.ask("/openapi.json")).json as Document
        const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
          Object.entries(methods)
            // This one does not end.
            .filter(() => path !== "/overview/events")
            .map(([method, { responses }]) => ({ path, method, statuses: Object.keys(responses) }))
        )
        assert.isAbove(operations.length, 10)
        yield* adapterKnows(answerFor(gsrnOf(1), "912345678"))
        const sample = fc.sample(fc.tuple(fc.constantFrom(...operations), segment, query, body, fc.boolean()), 1_500)
        yield* Effect.forEach(
          sample,
          Effect.fnUntraced(function* ([{ method, path, statuses }, name, parameters, sent, raw]) {
            const target = `${path.replace(/\{[^}]+\}/, name)}?${new URLSearchParams(parameters)}`
            const answered = yield* api.ask(target, {
              method: method.toUpperCase(),
              key: keyFor(path, method),
              ...(method === "get" || method === "delete" ? {} : { body: raw ? JSON.stringify(sent) : sent })
            })
            // A name too long for the router, or one that is no path or none of its own, is a route that is not there.
            const isName = name.length <= 100 && !name.includes("%") && !/^\.{1,2}$/.test(name)
            const routed = isName ? statuses : [...statuses, "404", "405"]
            const what = `${method} ${target} ${JSON.stringify(sent)} → ${answered.status} ${answered.text}`
            assert.include(routed, String(answered.status), what)
            assert.notInclude([500, 502, 503, 504], answered.status, what)
            if (answered.status >= 400) problemIn(answered)
          }),
          { concurrency: 8, discard: true }
        )
      }),
    60_000
  )
})
