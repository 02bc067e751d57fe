/**
 * The examples of the OpenAPI document, sent as they stand to a service on a socket that knows what the demo knows; and a typed
 * client that is generated from the document. Every answer is as the document has it.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path } from "effect"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { SqlClient } from "effect/sql"
import type { Scope } from "../../src/api/ApiKeys.ts"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import { exampleGsrn, examplePerson, exampleUnit } from "../../src/domain/ExampleNumbers.ts"
import {
  type Answer,
  type Described,
  faultsIn,
  type OpenApiDocument,
  operationsOf
} from "../support/openApiDocument.ts"
import { place, run } from "../support/packedPenstock.ts"
import { adapterKnows, answerFor, keyOf } from "./ApiUnderTest.ts"
import { ServedApi } from "./ServedApi.ts"

/** Does not end by itself. */
const endless = "followOverview"
/** No loop runs here; and the task was run again by the example before, so it is not set aside any more. */
const refusals: Readonly<Record<string, number>> = { readProgress: 503, redriveTask: 409 }

const ask = Effect.fnUntraced(function* (path: string, init: RequestInit = {}) {
  const { url } = yield* ServedApi
  const response = yield* Effect.promise((signal) => fetch(`${url}${path}`, { ...init, signal }))
  const text = yield* Effect.promise(() => response.text())
  return { status: response.status, headers: response.headers, text } satisfies Answer
})

const readDocument = Effect.map(ask("/openapi.json"), ({ text }) => JSON.parse(text) as OpenApiDocument)

const keyFor = ({ security }: Described): Readonly<Record<string, string>> => {
  const [scheme] = Object.keys(security[0] ?? {})
  return scheme === undefined ? {} : { authorization: `Bearer ${keyOf(scheme.replace(/Key$/, "") as Scope)}` }
}

/** Each example of its body, with those of its parameters; without a body once. */
const requestsOf = (operation: Described) => {
  const shown = (place: string) =>
    operation.parameters
      .filter((parameter) => parameter.in === place && parameter.example !== undefined && parameter.name !== "cursor")
      .map(({ example, name }) => [name, String(example)] as const)
  const path = shown("path").reduce(
    (whole, [name, value]) => whole.replace(`{${name}}`, encodeURIComponent(value)),
    operation.path
  )
  const query = new URLSearchParams(Object.fromEntries(shown("query")))
  const target = query.size === 0 ? path : `${path}?${query}`
  const bodies = Object.entries(operation.requestBody?.content ?? {}).flatMap(([type, { examples = {} }]) =>
    Object.values(examples).map(({ value }) => ({ type, body: JSON.stringify(value) }))
  )
  return (bodies.length === 0 ? [undefined] : bodies).map((sent) => ({
    target,
    init: {
      method: operation.method.toUpperCase(),
      headers: { ...keyFor(operation), ...(sent === undefined ? {} : { "content-type": sent.type }) },
      ...(sent === undefined ? {} : { body: sent.body })
    }
  }))
}

/** What the examples name: an accounting point with a unit, a source with a task, a site with a series, a record set aside. */
const likeTheDemo = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* adapterKnows(answerFor(Gsrn.make(exampleGsrn), examplePerson))
  const unit = { accounting_point: exampleGsrn, name: "Demo unit 1", technical_resources: [{ name: "Heat pump" }] }
  const { status } = yield* ask(`/controllable_unit/${exampleUnit}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${keyOf("admin")}`, "content-type": "application/json" },
    body: JSON.stringify(unit)
  })
  assert.strictEqual(status, 201)
  yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
    VALUES (1, 'http://127.0.0.1:1/data.hts', '{"measurementNames": ["Rainfall"]}')`
  yield* sql`INSERT INTO hilltop_fetch_tasks (source_id, request_type, fetch_url, next_fetch_at)
    VALUES (1, 'SITES_LIST', 'http://127.0.0.1:1/data.hts?Service=Hilltop&Request=SiteList&Location=Yes', now())`
  yield* sql`INSERT INTO observation_sites (council_id, name) VALUES (1, 'Awa')`
  yield* sql`INSERT INTO observation_sites_measurements (site_id, measurement_name) VALUES (1, 'Flow')`
  yield* sql`INSERT INTO topic_records (topic, partition, "offset", key, value, headers)
    VALUES ('hilltop_raw_dead_letters', 0, 0, '{}', 'no XML',
      '{"reason": "no XML", "source_topic": "hilltop_raw", "source_partition": "0", "source_offset": "0"}')`
  yield* sql`UPDATE topic_partitions SET next_offset = 1 WHERE topic = 'hilltop_raw_dead_letters'`
})

const services = Layer.merge(ServedApi.layer, NodeServices.layer)

layer(services, { excludeTestServices: true, timeout: "2 minutes" })("the OpenAPI document", (it) => {
  it.effect("has examples that are answered as it says", () =>
    Effect.gen(function* () {
      const document = yield* readDocument
      const faults = faultsIn(document)
      yield* likeTheDemo
      const refused: Array<string> = []
      // What removes or pauses comes last.
      const order = operationsOf(document).toSorted(
        (a, b) => Number(a.method === "delete") - Number(b.method === "delete")
      )
      for (const operation of order) {
        if (operation.operationId === endless) continue
        for (const { init, target } of requestsOf(operation)) {
          const answered = yield* ask(target, init)
          const what = `${operation.operationId} ${target} ${init.body ?? ""} → ${answered.status} ${answered.text}`
          assert.deepStrictEqual(faults(operation, answered), [], what)
          if (answered.status >= 400 && refusals[operation.operationId] !== answered.status) refused.push(what)
        }
      }
      assert.deepStrictEqual(refused, [])
    })
  )

  it.effect(
    "gives a typed client that is checked by the compiler and runs",
    () =>
      Effect.gen(function* () {
        const { url } = yield* ServedApi
        const files = yield* FileSystem.FileSystem
        const paths = yield* Path.Path
        const cwd = yield* files.makeTempDirectoryScoped({ prefix: "penstock-client-" })
        for (const file of yield* files.readDirectory(place("examples/typed-client"))) {
          if (file !== "node_modules") yield* files.copy(place(`examples/typed-client/${file}`), paths.join(cwd, file))
        }
        const answers = paths.join(cwd, "answers.jsonl")
        // Notes each answer that the client gets, so that it can be compared with the document.
        yield* files.writeFileString(paths.join(cwd, "note.mjs"), noting(answers))
        const env = {
          PENSTOCK_URL: url,
          LOOKUP_KEY: keyOf("lookup"),
          EVENT_KEY: keyOf("event"),
          READ_KEY: keyOf("read"),
          ADMIN_KEY: keyOf("admin")
        }
        const done = Effect.fnUntraced(function* (program: string, ...args: ReadonlyArray<string>) {
          const { code, err, out } = yield* run({ cwd, env }, program, ...args)
          assert.strictEqual(code, 0, `${program} ${args.join(" ")}: ${out}${err}`)
          return out
        })
        yield* done("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
        yield* done("npm", "run", "generate")
        // What the document does not have is no program, each in a file of its own.
        const main = yield* files.readFileString(paths.join(cwd, "main.ts"))
        for (const [name, right, wrong] of wrongPrograms) {
          assert.include(main, right)
          yield* files.writeFileString(paths.join(cwd, `${name}.ts`), main.replace(right, wrong))
        }
        const compiler = place("node_modules/typescript/bin/tsc")
        const { out: found } = yield* run({ cwd }, process.execPath, compiler, "--project", ".", "--pretty", "false")
        const faulty = new Set([...found.matchAll(/^([\w./-]+)\(\d+,\d+\): error/gm)].map(([, file]) => file))
        assert.deepStrictEqual([...faulty].sort(), wrongPrograms.map(([name]) => `${name}.ts`).sort(), found)

        yield* adapterKnows(answerFor(Gsrn.make(exampleGsrn), examplePerson))
        const told: unknown = JSON.parse(yield* done(process.execPath, "--import", "./note.mjs", "main.ts"))
        assert.deepInclude(told, { unit: "new", received: 1, unknown: 0, series: [404, "Series unknown"] })

        const document = yield* readDocument
        const faults = faultsIn(document)
        const noted = (yield* files.readFileString(answers)).trim().split("\n")
        assert.isAbove(noted.length, 4)
        for (const line of noted) {
          const { headers, method, path, status, text } = JSON.parse(line) as Noted
          const operation = operationsOf(document).find(
            (one) =>
              one.method === method.toLowerCase() &&
              new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path) &&
              (one.path === path || !operationsOf(document).some((other) => other.path === path))
          )
          assert.isDefined(operation, line)
          assert.deepStrictEqual(faults(operation!, { status, headers: new Headers(headers), text }), [], line)
        }
      }),
    // It is installed from the registry.
    300_000
  )
})

const wrongPrograms = [
  ["wrong-parameter", "limit: 100", `limit: "100"`],
  ["wrong-field", "end_user:", "enduser:"],
  ["wrong-answer", "name }) => name", "nom }) => nom"]
] as const

interface Noted {
  readonly method: string
  readonly path: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

const noting = (file: string) => `
import { appendFileSync } from "node:fs"
const ask = globalThis.fetch
globalThis.fetch = async (input, init) => {
  const { method, url } = input instanceof Request ? input : new Request(input, init)
  const response = await ask(input, init)
  const text = await response.clone().text()
  const { pathname: path } = new URL(url)
  const noted = { method, path, status: response.status, headers: Object.fromEntries(response.headers), text }
  appendFileSync(${JSON.stringify(file)}, JSON.stringify(noted) + "\\n")
  return response
}
`
