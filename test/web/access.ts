/** Whoever cannot see colours, use a pointer or has a small screen can use the page all the same. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { sections, sectionNames } from "../../web/shell/sections.ts"
import { allKeys, keys, PageWorld } from "./PageWorld.ts"
import { ChosenSeries } from "./PreparedWorld.ts"
import { untilTrue } from "./untilTrue.ts"
import { watchedPage } from "./WatchedPage.ts"

const opened = Effect.fnUntraced(function* (
  options: { readonly colorScheme?: "light" | "dark"; readonly width?: number } = {}
) {
  const { url } = yield* PageWorld
  const watched = yield* watchedPage({
    url,
    keys: allKeys,
    colorScheme: options.colorScheme ?? "light",
    viewport: { width: options.width ?? 1280, height: 900 }
  })
  yield* Effect.promise(async () => {
    await watched.page.goto(`${url}/#read=${keys.read}&admin=${keys.admin}`)
    await watched.page.locator("[data-flow]").first().waitFor()
  })
  return watched
})

/** No violation that axe knows of, in any section, and nothing to scroll sideways. */
export const isAccessible = Effect.fnUntraced(function* (colorScheme: "light" | "dark", width: number) {
  const { page, violations } = yield* opened({ colorScheme, width })
  const series = yield* ChosenSeries
  for (const section of [...sections, `observations?site=${series.siteId}&series=${series.id}`]) {
    yield* Effect.promise(async () => {
      await page.evaluate(`location.hash = "#/${section}"`)
      await page.locator("main h2").waitFor()
      await untilTrue(page, `!document.body.innerText.includes("Asking the service")`)
    })
    assert.deepStrictEqual(yield* violations, [], section)
    const over = yield* Effect.promise(() =>
      page.evaluate<number>("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )
    assert.strictEqual(over, 0, section)
  }
  yield* Effect.promise(async () => {
    await page.evaluate(`location.hash = "#/hilltop"`)
    await page.getByRole("button", { name: "Add a source" }).click()
    await page.getByRole("dialog").waitFor()
  })
  assert.deepStrictEqual(yield* violations, [], "adding a source")
})

/** From the first link to an action carried out, without a pointer. A task must fail. */
export const worksByKeyboard = Effect.gen(function* () {
  const { page } = yield* opened()
  const focused = () => page.evaluate<string>(`document.activeElement?.innerText ?? ""`)
  /** Goes on with the tabulator until what is meant has the focus. */
  const tabTo = async (text: string) => {
    for (let step = 0; step < 120; step++) {
      await page.keyboard.press("Tab")
      if ((await focused()).trim().startsWith(text)) return
    }
    assert.fail(`the keyboard does not lead to ${text}`)
  }
  yield* Effect.promise(async () => {
    // The first thing that is reached leads past the header.
    await page.keyboard.press("Tab")
    assert.strictEqual(await focused(), "To the content")
    await page.keyboard.press("Enter")
    assert.strictEqual(await page.evaluate("document.activeElement?.id"), "main")
    await page.reload()
    await page.locator("[data-flow]").first().waitFor()
    await tabTo(sectionNames.hilltop)
    // Where the focus is can be seen.
    assert.notStrictEqual(await page.evaluate(`getComputedStyle(document.activeElement).outlineStyle`), "none")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Hilltop", level: 2 }).waitFor()
    await tabTo("Add a source")
    await page.keyboard.press("Enter")
    await page.getByRole("dialog", { name: "Add a source" }).waitFor()
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
    assert.match(await focused(), /Add a source/)
    await page.getByLabel("State").focus()
    await page.keyboard.type("fail")
    await untilTrue(
      page,
      `document.querySelector("table[aria-label=Tasks] tbody tr")?.innerText.includes("failing") && document.querySelector("[aria-busy=true]") === null`
    )
    await page.locator("table[aria-label=Tasks] tbody button").first().focus()
    await page.keyboard.press("Enter")
    await page
      .getByRole("dialog", { name: /^Task / })
      .getByRole("button", { name: "Run now" })
      .waitFor()
    await tabTo("Run now")
    await page.keyboard.press("Enter")
    await page.getByText("It is due now").waitFor()
  })
})
