/**
 * A real headless Chromium for tests of the page: the one that `CHROMIUM_PATH` names, or that is installed. On a machine without one
 * they are reported as skipped, with the reason; `PENSTOCK_REQUIRE_CHROMIUM=1` turns that into a failure, and CI sets it.
 */
import { Context, Effect, Layer } from "effect"
import { type Browser, chromium } from "playwright-core"
import { describe } from "vitest"
import { chromiumPath } from "../../scripts/pictures/chromiumPath.ts"

const missing = "no Chromium: install it (apt-get install chromium), or say where it is with CHROMIUM_PATH"

/** Runs the tests, or reports them as skipped. */
export const withBrowser = (name: string, tests: () => void): void => {
  if (chromiumPath !== undefined) return tests()
  if (process.env["PENSTOCK_REQUIRE_CHROMIUM"] === "1") throw new Error(missing)
  describe.skip(`${name} (skipped: ${missing})`, tests)
}

/** One for all tests of a file. As root it runs without its sandbox, which is fine for pages of our own. */
export class HeadlessBrowser extends Context.Service<HeadlessBrowser, Browser>()("penstock/test/web/HeadlessBrowser") {
  static readonly layer = Layer.effect(
    HeadlessBrowser,
    Effect.acquireRelease(
      Effect.promise(() =>
        chromium.launch({
          ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
          args: ["--no-sandbox", "--disable-dev-shm-usage"]
        })
      ),
      (browser) => Effect.promise(() => browser.close())
    )
  )
}
