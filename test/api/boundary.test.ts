/**
 * What holds for every request: problems everywhere, ids, limits of bodies, wrong methods and media types, keys; over the
 * fetch handler.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { SqlClient } from "effect/sql"
import manifest from "../../package.json" with { type: "json" }
import { version } from "../../src/api/Api.ts"
import type { Scope } from "../../src/api/ApiKeys.ts"
import type { AccountingPointAnswer } from "../../src/domain/AccountingPoint.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { AdapterSwitches, ApiUnderTest, type Asked, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

/** Whoever asks for an answer meets a defect. */
class BrokenAnswers extends Map<string, AccountingPointAnswer> {
  override get(): never {
    throw new TypeError("planted-value")
  }
}

const ask = (path: string, asked?: Asked) => Effect.flatMap(ApiUnderTest, (api) => api.ask(path, asked))

const unit = "/controllable_unit/a0000000-0000-4000-8000-000000000001"
const gsrn = gsrnOf(1)

/** Every operation that needs a key, and of which scope. */
const operations: ReadonlyArray<readonly [method: string, path: string, scope: Scope]> = [
  ["POST", "/controllable_unit/lookup", "lookup"],
  ["POST", "/accounting_point/event", "event"],
  ["GET", `/accounting_point/${gsrn}`, "read"],
  ["PUT", unit, "admin"],
  ["DELETE", unit, "admin"],
  ["GET", "/hilltop/source", "admin"],
  ["POST", "/hilltop/source", "admin"],
  ["GET", "/hilltop/source/1", "admin"],
  ["PUT", "/hilltop/source/1", "admin"],
  ["DELETE", "/hilltop/source/1", "admin"],
  ["POST", "/hilltop/source/1/resume", "admin"],
  ["POST", "/hilltop/task/1/run", "admin"]
]

const counted = (method: string, route: string, status: number) =>
  `http_server_request_duration_seconds_count{http_request_method="${method}",http_route="${route}",http_response_status_code="${status}"}`

it.layer(layer, { excludeTestServices: true })("every request", (it) => {
  describe("needs a key", () => {
    for (const [method, path, scope] of operations) {
      it.effect(`of the scope ${scope} to ${method} ${path}`, () =>
        Effect.gen(function* () {
          const without = yield* ask(path, { method })
          assert.strictEqual(without.status, 401)
          assert.strictEqual(without.headers.get("www-authenticate"), 'Bearer realm="penstock"')
          assert.strictEqual(problemIn(without).type, "urn:penstock:problem:unauthorized")

          const wrong = yield* ask(path, { method, key: `${keyOf(scope)}x` })
          assert.strictEqual(wrong.status, 401)
          assert.include(wrong.headers.get("www-authenticate"), 'error="invalid_token"')
          assert.strictEqual(
            (yield* ask(path, { method, headers: { authorization: `Basic ${btoa(`a:${keyOf(scope)}`)}` } })).status,
            401
          )

          const other = yield* ask(path, { method, key: keyOf(scope === "admin" ? "read" : "admin") })
          assert.strictEqual(other.status, 403)
          assert.include(problemIn(other).detail, "insufficient scope")
          assert.include(other.headers.get("www-authenticate"), `scope="${scope}"`)

          const right = yield* ask(path, { method, key: keyOf(scope) })
          assert.notInclude([401, 403], right.status)
        })
      )
    }

    it.effect("and takes any of the keys that a name has", () =>
      Effect.gen(function* () {
        const body = { end_user: "912345678", accounting_point: gsrn }
        for (const key of ["lookup-key-0001", "lookup-key-0002"]) {
          assert.strictEqual((yield* ask("/controllable_unit/lookup", { key, body })).status, 404)
        }
      })
    )
  })

  describe("that leads nowhere", () => {
    it.effect("is 404 on an unknown path, whatever the method", () =>
      Effect.gen(function* () {
        for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
          const answered = yield* ask("/nowhere?person=01019012345", { method })
          assert.strictEqual(answered.status, 404)
          assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:route-unknown")
        }
        for (const path of ["/%zz", "/accounting_point/%ff%fe/x", `/${"a".repeat(300)}`, "/hilltop"]) {
          assert.strictEqual((yield* ask(path)).status, 404, path)
        }
      })
    )

    it.effect("is 405 with the methods there are on a known path", () =>
      Effect.gen(function* () {
        const cases: ReadonlyArray<readonly [string, string, string]> = [
          ["GET", "/controllable_unit/lookup", "POST"],
          ["PUT", "/controllable_unit/lookup", "POST"],
          ["GET", "/accounting_point/event", "POST"],
          ["POST", `/accounting_point/${gsrn}`, "GET, HEAD"],
          ["GET", unit, "DELETE, PUT"],
          ["PATCH", "/hilltop/source", "GET, HEAD, POST"],
          ["POST", "/hilltop/source/1", "DELETE, GET, HEAD, PUT"],
          ["GET", "/hilltop/task/1/run", "POST"],
          ["DELETE", "/hilltop/task", "GET, HEAD"],
          ["POST", "/health/live", "GET, HEAD"],
          ["POST", "/metrics", "GET, HEAD"],
          ["POST", "/openapi.json", "GET, HEAD"],
          ["PUT", "/docs", "GET, HEAD"],
          ["OPTIONS", "/", "GET, HEAD"]
        ]
        for (const [method, path, allow] of cases) {
          const answered = yield* ask(path, { method, key: keyOf("admin") })
          assert.strictEqual(answered.status, 405, `${method} ${path}`)
          assert.strictEqual(answered.headers.get("allow"), allow, `${method} ${path}`)
          assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:method-not-allowed")
        }
      })
    )
  })

  describe("with a body", () => {
    const path = "/accounting_point/event"
    const key = keyOf("event")
    const tooLong = " ".repeat(1_048_577)

    it.effect("above 1 MiB is 413, whether its length is told or not", () =>
      Effect.gen(function* () {
        const chunks = new ReadableStream({
          start: (controller) => {
            for (let i = 0; i < 17; i++) controller.enqueue(new TextEncoder().encode(" ".repeat(65_536)))
            controller.close()
          }
        })
        const answers = [
          yield* ask(path, { key, body: chunks }),
          yield* ask(path, { key, body: tooLong }),
          yield* ask(path, { key, body: tooLong, headers: { "content-length": "1048577" } }),
          yield* ask("/hilltop/task/1/run", { key, method: "POST", headers: { "content-length": "1048577" } })
        ]
        for (const answered of answers) {
          assert.strictEqual(answered.status, 413)
          assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:body-too-large")
        }
        const fits = yield* ask(path, { key, body: `[]${" ".repeat(1_048_574)}` })
        assert.strictEqual(fits.status, 200)
      })
    )

    it.effect("of another media type is 415", () =>
      Effect.gen(function* () {
        const body = JSON.stringify({ gsrn, occurred_at: "2026-01-01T00:00:00Z" })
        for (const type of ["text/plain", "application/xml", "application/json-patch+json", "01019012345/x", ";"]) {
          const answered = yield* ask(path, { key, body, headers: { "content-type": type } })
          assert.strictEqual(answered.status, 415, type)
          assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:media-type-unsupported")
        }
        const answered = yield* ask(path, { key, body, headers: { "content-type": "Application/JSON; charset=utf-8" } })
        assert.strictEqual(answered.status, 200)
      })
    )

    it.effect("that is not JSON is 400", () =>
      Effect.gen(function* () {
        for (const body of ["{", "nothing", '{"gsrn": 1,}', new Uint8Array([0xff, 0xfe, 0x00])]) {
          const answered = yield* ask(path, { key, body })
          assert.strictEqual(answered.status, 400)
          assert.strictEqual(problemIn(answered).detail, "the body: must be a valid JSON body")
        }
      })
    )
  })

  describe("has ids", () => {
    it.effect("that are the caller's where they are sane", () =>
      Effect.gen(function* () {
        const traceId = "0af7651916cd43dd8448eb211c80319c"
        const answered = yield* ask("/nowhere", {
          headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01`, "x-request-id": "Order-17.a_b" }
        })
        assert.strictEqual(problemIn(answered).trace_id, traceId)
        assert.strictEqual(answered.headers.get("x-request-id"), "Order-17.a_b")
        const validation = yield* ask("/controllable_unit/lookup", {
          key: keyOf("lookup"),
          body: {},
          headers: { traceparent: `00-${traceId}-b7ad6b7169203331-00` }
        })
        assert.strictEqual(problemIn(validation).trace_id, traceId)
      })
    )

    it.effect("that are made where they are not", () =>
      Effect.gen(function* () {
        const seen = new Set<string>()
        for (const id of [undefined, "01019012345", "x-01019012345-y", "a b", "é", "x".repeat(65), ""]) {
          const answered = yield* ask("/nowhere", {
            headers: {
              traceparent: "00-00000000000000000000000000000000-b7ad6b7169203331-01",
              ...(id === undefined ? {} : { "x-request-id": id })
            }
          })
          const made = answered.headers.get("x-request-id") ?? ""
          assert.match(made, /^[0-9a-f]{32}$/)
          assert.strictEqual(problemIn(answered).trace_id, made)
          seen.add(made)
        }
        assert.strictEqual(seen.size, 7)
      })
    )

    it.effect("also when it succeeds", () =>
      Effect.gen(function* () {
        const answered = yield* ask("/health/live", { headers: { "x-request-id": "mine" } })
        assert.strictEqual(answered.headers.get("x-request-id"), "mine")
      })
    )
  })

  it.effect("leaves one line in the log and counts, by its route and never by its path", () =>
    Effect.gen(function* () {
      const api = yield* ApiUnderTest
      const known = gsrnOf(17)
      yield* ask(`/accounting_point/${known}`, {
        key: keyOf("read"),
        headers: { "x-request-id": "the-one" }
      })
      const lines = api.logged.filter((line) => line.includes('"the-one"'))
      assert.lengthOf(lines, 1)
      const { annotations, level } = JSON.parse(lines[0]!)
      assert.strictEqual(level, "DEBUG")
      assert.include(annotations, {
        method: "GET",
        route: "/accounting_point/:gsrn",
        status: 404,
        caller: "read-caller"
      })
      assert.isAtLeast(annotations.millis, 0)
      assert.notInclude(api.logged.join("\n"), known)

      yield* ask("/nowhere", { method: "PROPFIND" })
      const metrics = yield* ask("/metrics")
      assert.strictEqual(metrics.status, 200)
      assert.include(metrics.text, counted("GET", "/accounting_point/:gsrn", 404))
      assert.include(metrics.text, counted("OTHER", "unmatched", 404))
      assert.include(metrics.text, "http_server_request_duration_seconds_bucket")
      assert.notInclude(metrics.text, known)
      assert.notInclude(metrics.text, "nowhere")
    })
  )

  it.effect("that meets a database that is gone is 503, and one that meets a defect is 500, without details", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const api = yield* ApiUnderTest
      const read = ask(`/accounting_point/${gsrn}`, { key: keyOf("read") })
      const broken = yield* Effect.acquireUseRelease(
        sql`ALTER TABLE flex.accounting_point_sync RENAME TO elsewhere`,
        () => read,
        () => Effect.orDie(sql`ALTER TABLE flex.elsewhere RENAME TO accounting_point_sync`)
      )
      assert.strictEqual(broken.status, 503)
      assert.strictEqual(broken.headers.get("retry-after"), "5")
      assert.notInclude(broken.text, "flex")
      assert.strictEqual((yield* read).status, 404)

      const { answers } = yield* AdapterSwitches
      yield* Ref.set(answers, new BrokenAnswers())
      const question = { end_user: "123456785", accounting_point: gsrnOf(999) }
      const defect = yield* ask("/controllable_unit/lookup", { key: keyOf("lookup"), body: question })
      assert.strictEqual(defect.status, 500)
      assert.strictEqual(problemIn(defect).type, "urn:penstock:problem:internal-error")
      assert.notInclude(defect.text, "planted-value")
      assert.lengthOf(
        api.logged.filter(
          (line) => line.includes("a request failed unexpectedly") && line.includes("boundary.test.ts")
        ),
        1,
        "the log shows where it happened"
      )
      assert.notInclude(api.logged.join("\n"), "planted-value")
    })
  )
})

it.layer(layer, { excludeTestServices: true })("the entrance", (it) => {
  it("has the version of the package", () => assert.strictEqual(version, manifest.version))

  it.effect("has the whole API as an OpenAPI 3.1 document", () =>
    Effect.gen(function* () {
      const answered = yield* ask("/openapi.json")
      assert.strictEqual(answered.status, 200)
      const document = answered.json as {
        readonly openapi: string
        readonly paths: Readonly<
          Record<
            string,
            Readonly<Record<string, { readonly responses: object; readonly security: ReadonlyArray<unknown> }>>
          >
        >
      }
      assert.match(document.openapi, /^3\.1\./)
      for (const [method, path] of operations) {
        const template = path
          .replace(gsrn, "{gsrn}")
          .replace(unit, "/controllable_unit/{business_id}")
          .replace(/\/1(?=\/|$)/, "/{id}")
        const operation = document.paths[template]?.[method.toLowerCase()]
        assert.isDefined(operation, `${method} ${template}`)
        assert.includeMembers(Object.keys(operation!.responses), ["400", "401", "403", "500", "503"])
        assert.isNotEmpty(operation!.security)
      }
      assert.includeMembers(Object.keys(document.paths["/controllable_unit/lookup"]!["post"]!.responses), [
        "200",
        "404",
        "413",
        "415",
        "429",
        "502",
        "504"
      ])
      assert.notInclude(answered.text, '"additionalProperties":false')
    })
  )

  it.effect("lets in without a key to what anybody may ask, and to nothing else of that document", () =>
    Effect.gen(function* () {
      const { paths } = (yield* ask("/openapi.json")).json as {
        readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
      }
      const forAnybody: Array<string> = []
      let closed = 0
      for (const [template, methods] of Object.entries(paths)) {
        const path = template.replaceAll(/\{[^}]+\}/g, "1")
        for (const name of Object.keys(methods)) {
          const method = name.toUpperCase()
          if ((yield* ask(path, { method })).status !== 401) {
            forAnybody.push(template)
            continue
          }
          closed++
          for (const scope of ["lookup", "event"] as const) {
            // What a key opens is told to whoever has it.
            if (template.endsWith(`/${scope}`) || template === "/api_key") continue
            assert.strictEqual((yield* ask(path, { method, key: keyOf(scope) })).status, 403, `${method} ${template}`)
          }
        }
      }
      assert.sameMembers(forAnybody, ["/health/live", "/health/ready", "/health/progress"])
      assert.isAbove(closed, 20)
    })
  )

  it.effect("has a page of it that loads nothing from elsewhere", () =>
    Effect.gen(function* () {
      const answered = yield* ask("/docs")
      assert.strictEqual(answered.status, 200)
      assert.include(answered.headers.get("content-type"), "text/html")
      assert.notMatch(answered.text, /<(?:script|link|img)[^>]+(?:src|href)=["']?(?:https?:)?\/\//)
    })
  )
})
