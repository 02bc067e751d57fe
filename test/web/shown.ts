/** What a page shows, cell by cell, and a wait until it is what the database has. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Page } from "playwright-core"

/** A row by the heads of its columns. Moments are as the page has them, not in its words of now. */
export type ShownRow = Readonly<Record<string, string>>

/** As an expression on the page: the text of a node, with moments as they are. */
export const textOf = `(node) => {
  const copy = node.cloneNode(true)
  for (const time of copy.querySelectorAll("time")) time.textContent = time.dateTime
  return copy.textContent.replace(/\\s+/g, " ").trim()
}`

/** The rows of a table; none where it is not there, since it would be empty. */
export const rowsOf = (page: Page, name: string): Promise<ReadonlyArray<ShownRow>> =>
  page.evaluate<ReadonlyArray<ShownRow>>(
    `[...document.querySelectorAll(${JSON.stringify(`table[aria-label=${JSON.stringify(name)}] tbody tr`)})].map((row) =>
      Object.fromEntries([...row.querySelectorAll("td")].map((cell) => [cell.dataset.head, (${textOf})(cell)])))`
  )

/** An element, by a selector; or a card, by its title. */
export const at = (selector: string): string => `document.querySelector(${JSON.stringify(selector)})`
export const card = (title: string): string =>
  `[...document.querySelectorAll("section.card")].find((one) => one.querySelector("h3")?.textContent === ${JSON.stringify(title)})`
const all = (within: string, selector: string) => `[...((${within})?.querySelectorAll("${selector}") ?? [])]`

/** The figures within an element, by their labels. */
export const figuresOf = (page: Page, within: string): Promise<ShownRow> =>
  page.evaluate<ShownRow>(
    `Object.fromEntries(${all(within, "dl > div")}.map((one) =>
      [one.querySelector("dt").textContent.trim(), (${textOf})(one.querySelector("dd"))]))`
  )

/** The bars within an element, by their labels. */
export const barsOf = (page: Page, within: string): Promise<ShownRow> =>
  page.evaluate<ShownRow>(
    `Object.fromEntries(${all(within, ".bar")}.map((bar) =>
      [bar.previousElementSibling.textContent.trim(), bar.nextElementSibling.textContent.trim()]))`
  )

/** The text of an element. */
export const textWithin = (page: Page, within: string): Promise<string> =>
  page.evaluate<string>(`(${textOf})(${within} ?? document.body)`)

const tries = 90
/** Waits until what is shown is what is kept: a snapshot is up to five seconds old, and how many there are in all up to thirty. */
export const agree = Effect.fnUntraced(function* <E, R>(
  what: string,
  shown: () => Promise<unknown>,
  kept: Effect.Effect<unknown, E, R>
) {
  for (let tried = 1; ; tried++) {
    const expected = yield* kept
    const found = yield* Effect.promise(shown)
    if (tried < tries && JSON.stringify(found) !== JSON.stringify(expected)) {
      yield* Effect.sleep("500 millis")
      continue
    }
    assert.deepStrictEqual(found, expected, what)
    return
  }
})
