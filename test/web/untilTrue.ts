/** Waits until an expression is true on the page. Playwright's own way evaluates text there, which the page's policy forbids. */
import type { Page } from "playwright-core"

const patience = 45_000
const between = 100

export const untilTrue = async (page: Page, expression: string): Promise<void> => {
  for (let waited = 0; waited < patience; waited += between) {
    if (await page.evaluate<boolean>(`Boolean(${expression})`)) return
    await page.waitForTimeout(between)
  }
  throw new Error(`it never came true on the page that ${expression}`)
}
