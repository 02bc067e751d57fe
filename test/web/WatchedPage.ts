/**
 * A page in the browser under the eyes of the test: whatever it writes to its console, whatever it asks for elsewhere, and every key
 * in an address is a failure, whatever the test is about.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import axe, { type AxeResults } from "axe-core"
import type { BrowserContextOptions, Page } from "playwright-core"
import { HeadlessBrowser } from "./withBrowser.ts"

export interface WatchedPage {
  readonly page: Page
  /** What a browser complains of when the service is away is expected, and only then. */
  readonly expectAway: () => void
  /** Addresses that were asked for. */
  readonly asked: ReadonlyArray<string>
  /** Violations that axe finds on the page as it stands. */
  readonly violations: Effect.Effect<ReadonlyArray<string>>
}

/** The messages of a browser about requests that did not succeed. */
const aboutRequests = /^Failed to load resource|ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE/

export interface Watching extends BrowserContextOptions {
  readonly url: string
  readonly keys: ReadonlyArray<string>
}

/** Opens a page that must behave until the scope closes. */
export const watchedPage = Effect.fnUntraced(function* ({ keys, url, ...options }: Watching) {
  const browser = yield* HeadlessBrowser
  const complaints: Array<string> = []
  const asked: Array<string> = []
  let mayBeAway = false
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => browser.newContext({ timezoneId: "Pacific/Auckland", locale: "en-NZ", ...options })),
    (opened) =>
      Effect.andThen(
        Effect.promise(() => opened.close()),
        Effect.sync(() => assert.deepStrictEqual(complaints, [], "the page misbehaved"))
      )
  )
  const page = yield* Effect.promise(() => context.newPage())
  page.on("console", (message) => {
    const text = message.text()
    if (message.type() === "error" || message.type() === "warning") {
      // An answer that says no is shown as an error by the browser, whatever the page makes of it.
      if (/status of 4\d\d|status of 503/.test(text) || (mayBeAway && aboutRequests.test(text))) return
      complaints.push(`${message.type()}: ${text}`)
    }
  })
  page.on("pageerror", (error) => complaints.push(`exception: ${error.stack ?? error.message}`))
  page.on("request", (request) => {
    const address = request.url()
    asked.push(address)
    if (!address.startsWith(`${url}/`) && !/^(?:data|blob):/.test(address))
      complaints.push(`asked elsewhere: ${address}`)
    if (keys.some((key) => address.includes(key))) complaints.push(`a key in an address that was asked: ${address}`)
  })
  const watched: WatchedPage = {
    page,
    asked,
    expectAway: () => {
      mayBeAway = true
    },
    violations: Effect.promise(async () => {
      if (!(await page.evaluate<boolean>(`"axe" in window`))) await page.evaluate(axe.source)
      // Of what is as it should be, one place of each is enough: to tell of all takes longer than to look.
      const { violations } = await page.evaluate<AxeResults>(
        `axe.run(document, {
          resultTypes: ["violations"],
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        })`
      )
      return violations.flatMap(({ help, id, nodes }) =>
        nodes.map(({ failureSummary, html }) => `${id} (${help}): ${html.slice(0, 200)}: ${failureSummary ?? ""}`)
      )
    })
  }
  return watched
})
