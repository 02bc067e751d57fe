/**
 * The files that hold the rules of dates and times, which test/timeZones.test.ts runs once more under several time zones. They
 * need no database, so none is started.
 */
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: [
      "test/domain/OsloDay.test.ts",
      "test/domain/Timeline.test.ts",
      "test/hilltop/Nzst.test.ts",
      "test/hilltop/HilltopUrl.test.ts",
      "test/hilltop/DataXml.test.ts",
      "test/crawl/FetchOrder.test.ts",
      "test/stream/ObservationMapper.test.ts"
    ],
    testTimeout: 60_000,
    isolate: false,
    maxWorkers: 1
  }
})
