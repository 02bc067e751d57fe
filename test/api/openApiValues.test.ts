/**
 * Whether the OpenAPI document and the decoder agree: what fits the document's schemas is sent, and is refused only where a
 * description says more than a schema can. Every answer is as the document has it.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type { Scope } from "../../src/api/ApiKeys.ts"
import { gsrnOf } from "../support/gsrns.ts"
import {
  type Described,
  faultsIn,
  type OpenApiDocument,
  operationsOf,
  type Parameter,
  valuesOf
} from "../support/openApiDocument.ts"
import { adapterKnows, answerFor, ApiUnderTest, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

/** What is refused beyond the schemas, and where the document says so. */
const described: ReadonlyArray<readonly [fault: RegExp, said: string]> = [
  [/: must be a GSRN with a valid GS1 check digit$/, "the last the GS1 check digit of those before it"],
  [/: must name exactly one of accounting_point and/, "exactly one of accounting point and controllable unit"],
  [/: the time is more than 5 minutes in the future$/, "no more than 5 minutes ahead"],
  [/: must not contain NUL characters or unpaired surrogates$/, "No text may hold NUL or half of a surrogate pair"],
  [/: hts_url must /, "The address of the Hilltop file, http or https"],
  [/^to: must not be before from$/, "Excluded, and not before `from`"],
  [/^cursor: must be (?:a|the) next_cursor/, "`next_cursor` of the page before, which had the same filters"]
]

/** This one does not end, and that one asks whichever server it is told to. */
const leftOut = new Set(["followOverview", "trySource"])

const special = {
  HilltopAddress: fc.oneof(
    fc.nat().map((n) => `https://hilltop${n}.example.nz/data.hts`),
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.string({ unit: "binary" })
  ),
  // Of those that fit the pattern nine of ten have a wrong check digit.
  Gsrn: fc.oneof(fc.constantFrom(gsrnOf(1), gsrnOf(2), gsrnOf(3)), fc.stringMatching(/^[1-9][0-9]{17}$/)),
  ControllableUnitId: fc.oneof(
    fc.constant("a0000000-0000-4000-8000-000000000001"),
    fc.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  )
}

interface Sent {
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

const requestsOf = (document: OpenApiDocument, operation: Described): fc.Arbitrary<Sent> => {
  const places = (place: Parameter["in"]) => {
    const parameters = operation.parameters.filter((parameter) => parameter.in === place)
    return fc.record(
      Object.fromEntries(parameters.map(({ name, schema }) => [name, valuesOf(document, special, schema).map(String)])),
      { requiredKeys: parameters.filter(({ required }) => required).map(({ name }) => name) }
    ) as fc.Arbitrary<Record<string, string>>
  }
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) =>
    valuesOf(document, special, schema).map((body) => ({ type, body: body as unknown }))
  )
  const body = bodies.length === 0 ? fc.constant(undefined) : fc.oneof(...bodies)
  return fc.tuple(places("path"), places("query"), body).map(([path, query, sent]) => ({
    target:
      operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? "")) +
      (Object.keys(query).length === 0 ? "" : `?${new URLSearchParams(query)}`),
    headers: sent === undefined ? {} : { "content-type": sent.type },
    body: sent?.body
  }))
}

/** `OPENAPI_SEED=7 npx vitest run test/api/openApiValues.test.ts` looks elsewhere. */
const seed = Number(process.env["OPENAPI_SEED"] ?? 1)

it.layer(layer, { excludeTestServices: true })("what fits the OpenAPI document", (it) => {
  it.effect(
    "is taken, but for what a description rules out, and answered as it says",
    () =>
      Effect.gen(function* () {
        const api = yield* ApiUnderTest
        const read = yield* api.ask("/openapi.json")
        const document = read.json as OpenApiDocument
        const faults = faultsIn(document)
        for (const [fault, said] of described) assert.include(read.text, said, String(fault))
        yield* adapterKnows(answerFor(gsrnOf(1), "912345678"))
        const taken = new Set<string>()
        for (const operation of operationsOf(document)) {
          if (leftOut.has(operation.operationId)) continue
          const key = Object.keys(operation.security[0] ?? {})[0]?.replace(/Key$/, "") as Scope | undefined
          const count = operation.parameters.length === 0 && operation.requestBody === undefined ? 1 : 40
          yield* Effect.forEach(
            fc.sample(requestsOf(document, operation), { numRuns: count, seed }),
            Effect.fnUntraced(function* ({ body, headers, target }) {
              const answered = yield* api.ask(target, {
                method: operation.method.toUpperCase(),
                key: key === undefined ? undefined : keyOf(key),
                headers,
                ...(body === undefined ? {} : { body: JSON.stringify(body) })
              })
              const what = `${operation.operationId} ${target} ${JSON.stringify(body)} → ${answered.status} ${answered.text}`
              assert.deepStrictEqual(faults(operation, answered), [], what)
              // Here nothing works in the background, which is what progress is about.
              if (operation.operationId === "readProgress") return void taken.add(operation.operationId)
              assert.notInclude([500, 502, 503, 504], answered.status, what)
              if (answered.status !== 400) return void taken.add(operation.operationId)
              for (const fault of problemIn(answered).detail.split("; ")) {
                if (/^and \d+ more$/.test(fault)) continue
                assert.isTrue(
                  described.some(([known]) => known.test(fault)),
                  what
                )
              }
            }),
            { concurrency: 8, discard: true }
          )
        }
        // Of each operation something was taken.
        const others = operationsOf(document).map(({ operationId }) => operationId)
        assert.deepStrictEqual(
          others.filter((id) => !taken.has(id) && !leftOut.has(id)),
          []
        )
      }),
    60_000
  )
})
