/**
 * The OpenAPI document by itself: held to the rules of a linter, and to what clients are made of.
 */
import { lintFromString, loadConfig } from "@redocly/openapi-core"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect } from "effect"
import { HttpApi, OpenApi } from "effect/http-api"
import { Api } from "../../src/api/Api.ts"
import { RequiredScope } from "../../src/api/ApiKeys.ts"
import { operationsOf, type OpenApiDocument } from "../support/openApiDocument.ts"

const document = OpenApi.fromApi(Api) as unknown as OpenApiDocument
const operations = operationsOf(document)

describe("the OpenAPI document", () => {
  it.effect("breaks no rule of the linter, not even by a warning", () =>
    Effect.gen(function* () {
      const config = yield* Effect.promise(() => loadConfig({ configPath: "redocly.yaml" }))
      const problems = yield* Effect.promise(() =>
        lintFromString({ source: JSON.stringify(document, undefined, 2), absoluteRef: "openapi.json", config })
      )
      assert.deepStrictEqual(
        problems.map(({ location: [at], message, ruleId }) => `${ruleId}: ${message} (${at?.pointer ?? ""})`),
        []
      )
    })
  )

  it("names what it is made of", () => {
    const named = Object.keys(document.components.schemas)
    assert.includeMembers(named, [
      "AccountingPointCopy",
      "CloudEvent",
      "ControllableUnitId",
      "Gsrn",
      "LookupRequest",
      "LookupResponse",
      "NotFound",
      "Observation",
      "ObservationPage",
      "Source",
      "SourcePage",
      "SourceRegistration",
      "UnitRegistration"
    ])
    // Two schemas of one name would have become one of them with a number.
    assert.deepStrictEqual(
      named.filter((name) => /_\d*$|Encoded$|^Page$/.test(name)),
      []
    )
    const unnamed = operations.flatMap(({ operationId, requestBody, responses }) =>
      [...Object.values(responses).map(({ content }) => content), requestBody?.content].flatMap((content) =>
        Object.entries(content ?? {})
          .filter(
            ([type, { schema }]) => type.endsWith("json") && schema.$ref === undefined && schema.anyOf === undefined
          )
          .map(([type]) => `${operationId} ${type}`)
      )
    )
    assert.deepStrictEqual(unnamed, [])
  })

  it("has numbers as numbers, in addresses and headers too", () => {
    const texts = operations.flatMap(({ operationId, parameters, responses }) => [
      ...parameters
        .filter(
          ({ name, schema }) =>
            /^(?:id|limit|offset|points|history|source|council)$/.test(name) && schema.type !== "integer"
        )
        .map(({ name }) => `${operationId} ${name}`),
      ...Object.values(responses)
        .flatMap(({ headers = {} }) => Object.entries(headers))
        .filter(([name, { schema }]) => /^(?:retry-after|age)$/.test(name) && schema.type !== "integer")
        .map(([name]) => `${operationId} ${name}`)
    ])
    assert.deepStrictEqual(texts, [])
    const [limit] = operations.find(({ operationId }) => operationId === "listSources")!.parameters
    assert.deepStrictEqual(limit, {
      name: "limit",
      in: "query",
      required: false,
      description: "How many at most; 100 unless said.",
      example: 10,
      schema: { type: "integer", minimum: 1, maximum: 1000 }
    })
  })

  it("says of each operation which keys it takes, as they are asked for", () => {
    const told = new Map<string, ReadonlyArray<string>>()
    HttpApi.reflect(Api, {
      onGroup: () => undefined,
      onEndpoint: ({ endpoint, group }) => {
        const scopes = Context.getOrUndefined(group.annotations, RequiredScope) ?? []
        const path = endpoint.path.replaceAll(/:(\w+)/g, "{$1}")
        told.set(
          `${endpoint.method.toLowerCase()} ${path}`,
          scopes.map((scope) => `${scope}Key`)
        )
      }
    })
    for (const { method, path, security } of operations) {
      assert.deepStrictEqual(
        security.flatMap((one) => Object.keys(one)),
        told.get(`${method} ${path}`),
        `${method} ${path}`
      )
    }
    assert.deepStrictEqual(Object.keys(document.components.securitySchemes), [
      "lookupKey",
      "eventKey",
      "readKey",
      "adminKey"
    ])
  })

  it("documents every error as a problem", () => {
    for (const { operationId, responses } of operations) {
      for (const [status, { content = {} }] of Object.entries(responses)) {
        if (Number(status) < 400) continue
        assert.deepStrictEqual(Object.keys(content), ["application/problem+json"], `${operationId} ${status}`)
      }
    }
  })

  it("has streams and the envelopes of events by their media types", () => {
    const typesOf = (id: string) => {
      const { requestBody, responses } = operations.find(({ operationId }) => operationId === id)!
      return { sent: Object.keys(requestBody?.content ?? {}), got: Object.keys(responses["200"]?.content ?? {}) }
    }
    assert.deepStrictEqual(typesOf("readSeries").got, ["application/json", "text/csv"])
    assert.deepStrictEqual(typesOf("followOverview").got, ["text/event-stream"])
    assert.deepStrictEqual(typesOf("recordEvents").sent, [
      "application/json",
      "application/cloudevents+json",
      "application/cloudevents-batch+json"
    ])
  })

  it("has an example for every body and for every parameter that is needed", () => {
    const without = operations.flatMap(({ operationId, parameters, requestBody }) => [
      ...Object.entries(requestBody?.content ?? {})
        .filter(([, { examples }]) => examples === undefined)
        .map(([type]) => `${operationId} ${type}`),
      ...parameters
        .filter(({ example, required }) => required && example === undefined)
        .map(({ name }) => `${operationId} ${name}`)
    ])
    assert.deepStrictEqual(without, [])
  })
})
