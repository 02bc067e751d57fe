/** A page that stays open while the service or its database goes away, or its key is taken away: it says so, and comes back by itself. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
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
      "says that the database is away, and goes on when it is back",
      () =>
        Effect.gen(function* () {
          const { network, start } = yield* PageWorld
          yield* start()
          const { page } = yield* opened
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
      "asks for nothing while nobody looks, over one stream while somebody does",
      () =>
        Effect.gen(function* () {
          const { start } = yield* PageWorld
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
        }),
      180_000
    )
  })
})
