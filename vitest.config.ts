/**
 * One embedded PostgreSQL serves every test file (see test/support/postgres.global.ts); each file clones its own database.
 *
 * Loading Effect and the service takes a second of a processor. Files that start processes of their own, browsers and brokers, or
 * that measure, are alone in theirs; they take longest and come first (projects run in the order of their names). All others share.
 */
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

// What was compiled once is kept, for those who run tests and for the processes that they start.
process.env["NODE_COMPILE_CACHE"] ??= resolve(import.meta.dirname, "node_modules/.cache/node")

const alone = [
  "test/*.test.ts",
  "test/{docs,exports,scripts,web}/**/*.test.ts",
  "test/layers/{embedded,kafka}/**/*.test.ts",
  "test/hilltop/{fuzz,hostile}.test.ts"
]
// Deno's own tests are run by Deno.
const exclude = ["test/deno/**"]

export default defineConfig({
  test: {
    globalSetup: ["test/support/postgres.global.ts", "test/support/kafka.global.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // More than there are processors where there are two: a third of the time a test waits.
    maxWorkers: 3,
    projects: [
      { extends: true, test: { name: "alone", include: alone, exclude } },
      {
        extends: true,
        test: { name: "together", include: ["test/**/*.test.ts"], exclude: [...exclude, ...alone], isolate: false }
      }
    ]
  }
})
