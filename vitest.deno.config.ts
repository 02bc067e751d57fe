/**
 * The contract suites on Deno (`deno task test`): every test file that runs one of them over memory or over PostgreSQL.
 *
 * The files are the same ones that Node runs, by the same vitest. What is left out is named with its reason.
 */
import { globSync, readFileSync } from "node:fs"
import { defineConfig } from "vitest/config"

const leftOut: Readonly<Record<string, string>> = {
  "test/layers/kafka/KafkajsTopics.test.ts": "needs a Kafka broker, and Node runs it against one",
  "test/layers/kafka/KafkajsTopicBrowser.test.ts": "needs a Kafka broker, and Node runs it against one"
}

const runsSuite = (file: string) => /from "[^"]*Suite\.ts"/.test(readFileSync(file, "utf8"))

export default defineConfig({
  test: {
    include: globSync("test/**/*.test.ts").filter((file) => !(file in leftOut) && runsSuite(file)),
    globalSetup: ["test/support/postgres.global.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2
  }
})
