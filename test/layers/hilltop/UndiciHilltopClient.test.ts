/** One request to a Hilltop server, against simulated servers and across sockets. */
import { assert, it } from "@effect/vitest"
import { Clock, ConfigProvider, Effect, Exit, Layer, Option } from "effect"
import { createHash } from "node:crypto"
import { UndiciHilltopClient } from "../../../layers/hilltop/UndiciHilltopClient.ts"
import { HilltopSimulator } from "../../../scripts/simulators/HilltopSimulator.ts"
import { HilltopClient } from "../../../src/hilltop/HilltopClient.ts"
import { StoreUnavailable } from "../../../src/domain/StoreUnavailable.ts"
import { RedirectBudget } from "../../../src/hilltop/RedirectBudget.ts"
import { standIn } from "../../support/standIn.ts"

const clientWith = (settings: Record<string, string>, reserve?: RedirectBudget["Service"]["reserve"]) =>
  UndiciHilltopClient.pipe(
    Layer.provide(
      reserve === undefined
        ? RedirectBudget.layerUnlimited
        : Layer.succeed(RedirectBudget, RedirectBudget.of({ reserve }))
    ),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings)))
  )
const simulator = HilltopSimulator.layer({ sites: 3, historyDays: 5 })
const failureOf = <A, E>(exit: Exit.Exit<A, E>) => Option.getOrThrow(Exit.findErrorOption(exit)) as object
const ask = (url: string) => Effect.scoped(HilltopClient.use(({ fetch }) => fetch(url)))
const sitesList = Effect.map(
  HilltopSimulator,
  ({ sources }) => `${sources[0]!.htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes`
)

it.layer(
  Layer.merge(
    clientWith({ CRAWL_ALLOW_PRIVATE: "true", CRAWL_TIMEOUT: "3 seconds", CRAWL_MAX_RESPONSE: "100000" }),
    simulator
  ),
  { excludeTestServices: true }
)("HilltopClient over undici", (it) => {
  it.effect("gets the bytes and their SHA-256, compressed on the way or not", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const plain = yield* ask(yield* sitesList)
      assert.strictEqual(plain.hash, createHash("sha256").update(plain.bytes).digest("hex"))
      yield* world.faults.set([{ fault: "gzip-unasked" }])
      assert.strictEqual((yield* ask(yield* sitesList)).hash, plain.hash)
      yield* world.faults.set([{ fault: "forbidden-without-user-agent" }])
      assert.strictEqual((yield* ask(yield* sitesList)).hash, plain.hash)
      yield* world.faults.set([])
    })
  )

  it.effect("tells a status with how long the server wants to be left alone", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      yield* world.faults.set([{ fault: "status", status: 503, retry_after: "7" }])
      assert.deepInclude(yield* Effect.flip(ask(yield* sitesList)), {
        kind: "status",
        status: 503,
        retryAfter: 7
      })
      yield* world.faults.set([])
    })
  )

  it.effect.each([{ fault: "hang" }, { fault: "trickle", bytes_per_second: 20 }] as const)(
    "gives up at the deadline when the server does $fault",
    (fault) =>
      Effect.gen(function* () {
        const world = yield* HilltopSimulator
        yield* world.faults.set([fault])
        assert.deepInclude(yield* Effect.flip(ask(yield* sitesList)), { kind: "deadline" })
        yield* world.faults.set([])
      })
  )

  it.effect("stops reading an answer that is too large", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const { htsUrl } = world.sources[0]!
      const site = world.sites(world.sources[0]!.councilId).find((each) => each.series.length > 0)!
      const series = site.series[0]!
      yield* world.faults.set([{ fault: "large-body" }])
      const url = `${htsUrl}?Service=Hilltop&Request=GetData&Site=${encodeURIComponent(site.name)}&Measurement=${encodeURIComponent(series.requestAs)}&TimeInterval=P35D/now`
      const error = yield* Effect.flip(ask(url))
      assert.deepInclude(error, { _tag: "HilltopResponseTooLarge", limit: 100_000 })
      yield* world.faults.set([])
    })
  )

  it.effect("follows redirects within the server, and none to another or without end", () =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const url = yield* sitesList
      yield* world.faults.set([{ fault: "redirect", to: url, times: 1 }])
      assert.isAbove((yield* ask(url)).bytes.length, 100)
      yield* world.faults.set([{ fault: "redirect", to: url }])
      assert.deepInclude(yield* Effect.flip(ask(url)), { kind: "forbidden", detail: "too many redirects" })
      yield* world.faults.set([{ fault: "redirect", to: `${world.origins[1]!}/data.hts` }])
      assert.deepInclude(yield* Effect.flip(ask(url)), { kind: "forbidden" })
      yield* world.faults.set([])
    })
  )
})

it.layer(simulator, { excludeTestServices: true })("HilltopClient and the budget of a redirect", (it) => {
  /** The answer to a request that is redirected once, where the budget says this. */
  const redirected = (reserve: RedirectBudget["Service"]["reserve"], timeout = "3 seconds") =>
    Effect.gen(function* () {
      const world = yield* HilltopSimulator
      const url = yield* sitesList
      yield* world.faults.set([{ fault: "redirect", to: url, times: 1 }])
      const from = yield* Clock.currentTimeMillis
      const client = clientWith({ CRAWL_ALLOW_PRIVATE: "true", CRAWL_TIMEOUT: timeout }, reserve)
      const exit = yield* Effect.exit(ask(url)).pipe(Effect.provide(client))
      yield* world.faults.set([])
      const took = (yield* Clock.currentTimeMillis) - from
      return { exit, took, requests: (yield* world.requestsBetween(from, from + took + 1)).length }
    })

  it.effect("waits for its turn, and the server is not to blame for that", () =>
    Effect.gen(function* () {
      const patience: Array<number> = []
      const { exit, requests, took } = yield* redirected((_, most) => {
        patience.push(most)
        return Effect.succeed(800)
      })
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(requests, 2)
      assert.isAtLeast(took, 800)
      if (Exit.isSuccess(exit)) assert.isAtMost(exit.value.millis, took - 790)
      assert.deepStrictEqual(patience, [1_500])
    })
  )

  it.effect("makes no further request without a turn", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* redirected(() => Effect.succeed(undefined))
      assert.strictEqual(requests, 1)
      assert.deepInclude(failureOf(exit), { _tag: "HilltopFetchFailed", kind: "status", status: 302 })
    })
  )

  it.effect(
    "asks there the next time, with the cookies it was sent round with, and no further than redirects may lead",
    () =>
      Effect.gen(function* () {
        const asked: Array<string> = []
        const { url } = yield* standIn((request, response) => {
          asked.push(`${request.url} ${request.headers.cookie ?? ""}`.trim())
          if (request.headers.cookie === "pass=a") return response.end("<Hilltop/>")
          const [path = "", turns = "0"] = (request.url ?? "").split("?")
          const location = path === "/endless" ? `${path}?${Number(turns) + 1}` : "/passed?b"
          response.writeHead(302, { location, ...(path === "/endless" ? {} : { "set-cookie": "pass=a" }) }).end()
        })
        const client = clientWith({ CRAWL_ALLOW_PRIVATE: "true" }, () => Effect.succeed(undefined))
        yield* Effect.gen(function* () {
          const noRoom = { kind: "status", status: 302 }
          assert.deepInclude(failureOf(yield* Effect.exit(ask(`${url}/data?a`))), noRoom)
          assert.strictEqual((yield* ask(`${url}/data?a`)).bytes.length, 10)
          assert.deepInclude(failureOf(yield* Effect.exit(ask(`${url}/data?a`))), noRoom)
          assert.deepStrictEqual(asked.splice(0), ["/data?a", "/passed?b pass=a", "/data?a"])
          for (let n = 0; n < 3; n++) assert.deepInclude(failureOf(yield* Effect.exit(ask(`${url}/endless`))), noRoom)
          assert.deepInclude(failureOf(yield* Effect.exit(ask(`${url}/endless`))), { detail: "too many redirects" })
          assert.deepInclude(failureOf(yield* Effect.exit(ask(`${url}/endless`))), noRoom)
          assert.deepStrictEqual(asked, ["/endless", "/endless?1", "/endless?2", "/endless?3", "/endless"])
        }).pipe(Effect.provide(client))
      }).pipe(Effect.scoped)
  )

  it.effect("fails as the database does where the budget cannot be asked", () =>
    Effect.gen(function* () {
      const { exit, requests } = yield* redirected(() => Effect.fail(new StoreUnavailable({ cause: "away" })))
      assert.strictEqual(requests, 1)
      assert.deepInclude(failureOf(exit), { _tag: "StoreUnavailable" })
    })
  )
})

it.layer(Layer.merge(clientWith({}), simulator), { excludeTestServices: true })("HilltopClient as it is set", (it) => {
  it.effect("asks no private address, by number or by name", () =>
    Effect.gen(function* () {
      for (const url of [yield* sitesList, "http://localhost:9/data.hts", "http://[::1]:9/data.hts"]) {
        assert.deepInclude(yield* Effect.flip(ask(url)), { kind: "forbidden" }, url)
      }
    })
  )
})
