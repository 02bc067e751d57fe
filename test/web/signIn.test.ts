/** Signing in: nothing is shown without a key, keys stay in the tab, and whoever has a wrong one is told. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { withBrowser } from "./withBrowser.ts"
import { allKeys, keys, PageWorld, runningWorld, RunningService } from "./PageWorld.ts"
import { watchedPage } from "./WatchedPage.ts"

const opened = Effect.fnUntraced(function* (fragment = "") {
  const { url } = yield* PageWorld
  const watched = yield* watchedPage({ url, keys: allKeys })
  yield* Effect.promise(() => watched.page.goto(`${url}/${fragment}`))
  return watched
})

withBrowser("signing in", () => {
  layer(runningWorld, { excludeTestServices: true })("signing in", (it) => {
    it.effect("shows nothing until a read key is given, and asks for nothing", () =>
      Effect.gen(function* () {
        const { url } = yield* PageWorld
        const { asked, page, violations } = yield* opened()
        yield* Effect.promise(() => page.getByRole("heading", { name: "Sign in" }).waitFor())
        assert.strictEqual(yield* Effect.promise(() => page.getByRole("navigation").count()), 0)
        assert.deepStrictEqual(
          asked.filter((address) => address !== `${url}/` && !address.startsWith(`${url}/web/`)),
          []
        )
        assert.deepStrictEqual(yield* violations, [])
      })
    )

    it.effect("takes a read key for this tab only, and an admin key to show the actions", () =>
      Effect.gen(function* () {
        const { url } = yield* PageWorld
        const service = yield* RunningService
        const { page } = yield* opened()
        yield* Effect.promise(async () => {
          await page.getByLabel("Read key").fill(keys.read)
          await page.keyboard.press("Enter")
          await page.getByRole("heading", { name: "At a glance" }).waitFor()
          await page.getByText("read only").waitFor()
          await page.reload()
          await page.getByRole("heading", { name: "At a glance" }).waitFor()

          const other = await page.context().newPage()
          await other.goto(`${url}/`)
          await other.getByRole("heading", { name: "Sign in" }).waitFor()
          await other.close()

          await page.getByRole("button", { name: "Sign out" }).click()
          await page.getByLabel("Read key").fill(keys.read)
          await page.getByLabel("Admin key").fill(keys.admin)
          await page.getByRole("button", { name: "Sign in" }).click()
          await page.getByText("admin", { exact: true }).waitFor()
        })
        const kept = yield* Effect.promise(() =>
          page.evaluate<string>("JSON.stringify([localStorage, document.cookie])")
        )
        for (const key of allKeys) {
          assert.notInclude(kept, key)
          assert.notInclude(service.output(), key)
        }
      })
    )

    it.effect("takes the keys of a fragment, and takes them out of the address at once", () =>
      Effect.gen(function* () {
        const { url } = yield* PageWorld
        const { page } = yield* opened(`#read=${keys.read}&admin=${keys.admin}`)
        yield* Effect.promise(async () => {
          await page.getByText("admin", { exact: true }).waitFor()
          assert.strictEqual(page.url(), `${url}/#/`)
          await page.goto(`${url}/#read=${keys.read}`)
          await page.getByText("read only").waitFor()
          assert.strictEqual(page.url(), `${url}/#/`)
        })
      })
    )

    it.effect("says so when a key is unknown, or for something else", () =>
      Effect.gen(function* () {
        const { page, violations } = yield* opened()
        const tried = (read: string, admin: string, said: string) =>
          Effect.promise(async () => {
            await page.getByLabel("Read key").fill(read)
            await page.getByLabel("Admin key").fill(admin)
            await page.getByRole("button", { name: "Sign in" }).click()
            await page.getByText(said).waitFor()
          })
        yield* tried("no-such-key", "", "The service does not know this read key.")
        yield* tried("kein Schlüssel", "", "The service does not know this read key.")
        yield* tried(keys.lookup, "", "This key is for lookup, not for read.")
        yield* tried(keys.read, keys.read, "This key is for read, not for admin.")
        assert.deepStrictEqual(yield* violations, [])
      })
    )
  })
})
