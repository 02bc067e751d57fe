/** Where a Chromium is: the one that `CHROMIUM_PATH` names, or that is installed. Playwright would fetch one of its own. */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]

export const chromiumPath: string | undefined = [
  process.env["CHROMIUM_PATH"],
  ...(process.env["PATH"] ?? "").split(delimiter).flatMap((place) => names.map((name) => join(place, name)))
].find((path) => path !== undefined && existsSync(path))
