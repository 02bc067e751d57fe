/** A page that stays open while the service or its database goes away, or its key is taken away: it says so, and comes back by itself. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { temporaryDirectory } from "../../scripts/bench/BenchPostgres.ts"
import { tcpProxy } from "../../scripts/simulators/TcpProxy.ts"
import { keys, allKeys, PageWorld, stoppable, syncPoints, world } from "./PageWorld.ts"
import { watchedPage } from "./WatchedPage.ts"
import { withBrowser } from "./withBrowser.ts"

const opened = Effect.gen(function* () {
  const { url } = yield* PageWorld
  const watched = yield* watchedPage({ url, keys: allKeys })
  yield* Effect.promise(() => watched.page.goto(`${url}/#read=${keys.read}`))
  yield* Effect.promise(() => watched.page.locator("[data-flow]").first().waitFor())
  return watched
})

withBrowser("a page in trouble", () => {
  layer(world, { excludeTestServices: true, timeout: "120 seconds" })("a page that is open", (it) => {
    it.effect(
      "says that the service is away, comes back when it was restarted, and signs out when its key is known no more",
      () =>
        Effect.gen(function* () {
          const { start } = yield* PageWorld
          const first = yield* stoppable(start())
          yield* syncPoints(3)
          const { expectAway, page } = yield* opened
          expectAway()
          yield* first.stop
          yield* Effect.promise(async () => {
            await page.locator(".banner", { hasText: "Not connected" }).waitFor()
            // What was known stays to be read, with its age.
            assert.strictEqual(await page.locator("[data-flow]").count(), 3)
          })
          const second = yield* stoppable(start())
          yield* Effect.promise(() => page.locator(".live-dot[data-state=live]").waitFor())
          assert.strictEqual(yield* Effect.promise(() => page.locator(".banner strong").count()), 0)

          yield* second.stop
          yield* start({ READ_API_KEYS: "test:another-read-key" })
          yield* Effect.promise(async () => {
            await page.getByText("The service does not know this key any more.").waitFor()
            assert.strictEqual(await page.locator("[data-flow]").count(), 0)
            assert.strictEqual(await page.evaluate("sessionStorage.length"), 0)
          })
        }),
      180_000
    )

    it.effect(
      "asks for nothing while nobody looks, over one stream while somebody does; says that the database is away, and goes on when it is back",
      () =>
        Effect.gen(function* () {
          const { network, start } = yield* PageWorld
          yield* start()
          const { asked, page } = yield* opened
          const streams = () => asked.filter((address) => address.endsWith("/overview/events")).length
          assert.strictEqual(streams(), 1)
          const hide = (hidden: boolean) =>
            Effect.promise(() =>
              page.evaluate(
                `Object.defineProperty(document, "hidden", { value: ${hidden}, configurable: true }); document.dispatchEvent(new Event("visibilitychange"))`
              )
            )
          const closed = page.waitForEvent("requestfailed")
          yield* hide(true)
          assert.include((yield* Effect.promise(() => closed)).url(), "/overview/events")
          const before = asked.length
          yield* hide(false)
          yield* Effect.promise(() => page.locator(".live-dot[data-state=live]").waitFor())
          assert.strictEqual(asked.length, before + 1)
          assert.strictEqual(streams(), 2)

          yield* Effect.addFinalizer(() => Effect.sync(network.restore))
          network.cutAll()
          network.admit("refused")
          yield* Effect.promise(() => page.locator(".banner", { hasText: "Database away" }).waitFor())
          network.restore()
          yield* Effect.promise(() => page.locator(".live-dot[data-state=live]").waitFor())
          assert.strictEqual(yield* Effect.promise(() => page.locator(".banner strong").count()), 0)
        }),
      180_000
    )

    it.effect(
      "says that PostgreSQL was stopped, and goes on when it was started again",
      () =>
        Effect.gen(function* () {
          const { start } = yield* PageWorld
          const directory = `${yield* temporaryDirectory}/postgres`
          const postgres = stoppable(startEmbeddedPostgres({ directory, durable: false }))
          const place = { host: "127.0.0.1", port: 0 }
          // It starts at another port than before, and the service knows one.
          const { port } = yield* tcpProxy(place)
          const first = yield* postgres
          place.port = first.started.port
          const address = new URL(Redacted.value(first.started.url))
          address.port = String(port)
          yield* start({ DATABASE_URL: address.href })
          const { page } = yield* opened
          yield* first.stop
          yield* Effect.promise(async () => {
            await page.locator(".banner", { hasText: "Database away" }).waitFor()
            // What was known stays to be read.
            assert.strictEqual(await page.locator("[data-flow]").count(), 3)
          })
          const second = yield* postgres
          place.port = second.started.port
          yield* Effect.promise(() => page.locator(".live-dot[data-state=live]").waitFor())
          assert.strictEqual(yield* Effect.promise(() => page.locator(".banner strong").count()), 0)
        }).pipe(Effect.provide(NodeServices.layer)),
      180_000
    )
  })
})
