/** One embedded PostgreSQL serves every test file (see test/support/postgres.global.ts); each file clones its own database. */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Deno's own tests are run by Deno.
    exclude: ["test/deno/**"],
    globalSetup: ["test/support/postgres.global.ts", "test/support/kafka.global.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2
  }
})
