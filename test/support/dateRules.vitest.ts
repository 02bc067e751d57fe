/**
 * The files that hold the rules of dates and times, which test/timeZones.test.ts runs once more under several time zones, each in a
 * process of its own. They need no database, so none is started.
 */
import { defineConfig } from "vitest/config"

const include = [
  "test/domain/OsloDay.test.ts",
  "test/domain/Timeline.test.ts",
  "test/hilltop/Nzst.test.ts",
  "test/hilltop/HilltopUrl.test.ts",
  "test/hilltop/DataXml.test.ts",
  "test/crawl/FetchOrder.test.ts",
  "test/stream/ObservationMapper.test.ts"
]

export default defineConfig({
  test: {
    testTimeout: 60_000,
    isolate: false,
    maxWorkers: 1,
    setupFiles: ["test/support/inItsTimeZone.ts"],
    projects: ["UTC", "America/St_Johns", "Pacific/Auckland"].map((zone) => ({
      extends: true as const,
      test: { name: zone, include, env: { TZ: zone } }
    }))
  }
})
