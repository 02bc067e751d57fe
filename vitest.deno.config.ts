/**
 * The contract suites on Deno (`deno task test`), over memory and over PostgreSQL: the same files that Node runs, by the same
 * vitest. A file that runs a suite is found by that; what it tests beside the suite is left to Node.
 */
import { globSync, readFileSync } from "node:fs"
import { defineConfig } from "vitest/config"

const leftOut: Readonly<Record<string, string>> = {
  "test/layers/kafka/KafkajsTopics.test.ts": "its broker is started for all of the tests on Node, with Java",
  "test/layers/kafka/KafkajsTopicBrowser.test.ts": "the same broker",
  "test/layers/crawl/crawlPlan.test.ts": "no contract: its suite runs twice over one implementation"
}

/** Names of the suites that a test file runs, as they begin the names of their tests. */
const suitesIn = (file: string): ReadonlyArray<string> =>
  [...readFileSync(file, "utf8").matchAll(/Suite\(\s*"([^"]+)"/g)].map(([, name = ""]) => name)

const files = globSync("test/**/*.test.ts").filter((file) => !(file in leftOut) && suitesIn(file).length > 0)

export default defineConfig({
  test: {
    include: files,
    testNamePattern: new RegExp(`^(?:${files.flatMap(suitesIn).join("|")}) `),
    globalSetup: ["test/support/postgres.global.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2
  }
})
