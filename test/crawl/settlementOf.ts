/** A settlement of a run that went well, but for what a test says otherwise. */
import { Duration } from "effect"
import type { Settlement } from "../../src/crawl/Settlement.ts"

export const settlementOf = (task: Settlement["task"], change: Partial<Settlement> = {}): Settlement => ({
  task,
  run: { at: "2026-01-01T00:00:00.000Z", result: "SUCCESS", hash: "abc" },
  delay: Duration.hours(1),
  hash: "abc",
  attempts: 0,
  answer: undefined,
  ...change
})
