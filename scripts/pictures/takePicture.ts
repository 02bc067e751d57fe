/** One picture of the page, in the browser's own colours and width. */
import { Effect } from "effect"
import type { Browser } from "playwright-core"

export interface PictureOrder {
  readonly name: string
  readonly scheme: "light" | "dark"
  readonly width: number
  /** The whole of the page where nothing is said. */
  readonly height?: number
  readonly section: string
  /** Waited for before the picture is taken. */
  readonly shows?: string
}

export interface PictureAddress {
  readonly url: string
  readonly keys: { readonly read: string; readonly admin: string }
  readonly directory: string
}

export const takePicture = (browser: Browser, { directory, keys, url }: PictureAddress, order: PictureOrder) =>
  Effect.promise(async () => {
    const page = await browser.newPage({
      viewport: { width: order.width, height: order.height ?? 900 },
      colorScheme: order.scheme,
      reducedMotion: "reduce",
      timezoneId: "Pacific/Auckland"
    })
    await page.goto(`${url}/#read=${encodeURIComponent(keys.read)}&admin=${encodeURIComponent(keys.admin)}`)
    await page.locator("[data-flow]").first().waitFor()
    await page.evaluate(`location.hash = ${JSON.stringify(`#/${order.section}`)}`)
    await page
      .locator(order.shows ?? "main h2")
      .first()
      .waitFor()
    await page.getByText("Asking the service").first().waitFor({ state: "detached" })
    await page.screenshot({ path: `${directory}/${order.name}.png`, fullPage: order.height === undefined })
    await page.close()
  })
