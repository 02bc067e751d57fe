/**
 * One embedded PostgreSQL serves every test file (see test/support/postgres.global.ts); each file clones its own database.
 *
 * To load Effect and the service takes a processor a second. Files that start processes, browsers and brokers of their own, or that
 * measure, are alone in theirs; they take longest, and come first, as projects run in the order of their names. All others share.
 */
import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

// What was compiled once is kept, for those that run tests and for the processes that they start.
process.env["NODE_COMPILE_CACHE"] ??= resolve(import.meta.dirname, "node_modules/.cache/node")

const all = "test/**/*.test.ts"
const alone = [
  "test/*.test.ts",
  "test/{docs,exports,scripts,web}/**/*.test.ts",
  "test/layers/{embedded,kafka}/**/*.test.ts",
  // How much memory they take is measured.
  "test/hilltop/{fuzz,hostile}.test.ts",
  "test/layers/hilltop/hilltopSockets.test.ts"
]
// Deno's own tests are run by Deno.
const others = "test/deno/**"

export default defineConfig({
  test: {
    globalSetup: ["test/support/postgres.global.ts", "test/support/kafka.global.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // For two processors: a third of the time a test waits.
    maxWorkers: 3,
    projects: [
      { extends: true, test: { name: "alone", include: alone, exclude: [others] } },
      { extends: true, test: { name: "together", include: [all], exclude: [others, ...alone], isolate: false } }
    ]
  }
})
