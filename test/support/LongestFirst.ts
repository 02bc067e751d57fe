/**
 * The order of test files where nothing is known of earlier runs, as in continuous integration: those that take longest come first, or
 * one of them would be left at the end, and a processor idle beside it.
 *
 * Vitest itself then goes by the size of files, and by how long they took where it knows.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** Twenty seconds and more, the longest first; one that is missing here is only later. */
const longest = [
  "scripts/chaos",
  "scripts/kafkaCluster",
  "docs/backup",
  "web/sections",
  "scripts/kafkaKilled",
  "scripts/databaseFaults",
  "web/trouble",
  "exports/package",
  "docs/operators",
  "scripts/severalProcesses",
  "layers/kafka/kafkaFlow",
  "scripts/traces",
  "scripts/idle",
  "scripts/doctor",
  "scripts/demo",
  "docs/hilltop-sources",
  "scripts/commands",
  "scripts/commandLine",
  "sync/simulatedDay",
  "api/overviewStream",
  "layers/embedded/EmbeddedPostgres",
  "layers/postgres/PgConnections",
  "layers/kafka/kafkaReading",
  "scripts/crawlingInstances",
  "scripts/doctorKafka",
  "docs/developers",
  "api/httpLimits",
  "scripts/measured",
  "scripts/twoInstances",
  "layers/crawl/crawlPlan",
  "api/sourceTrial",
  "layers/crawl/crawlBesideFaults",
  "layers/sync/syncFlow",
  "scripts/privacy",
  "layers/kafka/kafkaKilledWithin",
  "scripts/packing"
]

const placeOf = ({ moduleId }: TestSpecification) => {
  const place = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
  return place === -1 ? longest.length : place
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const sorted = await super.sort(files)
    // `npm run check` runs some of them before.
    const known = files.filter((file) => this.ctx.cache.getTestSpecificationResult(file) !== undefined)
    if (known.length > files.length / 2) return sorted
    // Sorting keeps the order of equals; what is alone stays in front.
    return sorted.sort((a, b) => a.project.name.localeCompare(b.project.name) || placeOf(a) - placeOf(b))
  }
}
