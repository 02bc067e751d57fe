#!/usr/bin/env node
/**
 * `npm run bench`, or `npm run bench -- lookups parse` for some groups: measures, prints tables, and writes
 * `bench/results/<group>.json`. `npm run bench -- --page` writes the results that are there into `docs/benchmarks.md`.
 *
 * Never part of `npm test`: figures of a shared machine are for reading, not for failing. A target that is missed is
 * marked in the table; only a group that could not be measured makes the command fail.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Cause, Console, Data, type Duration, Effect, Exit, References, type Scope } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { version } from "../../layers/version.ts"
import { benchAnswers } from "./benchAnswers.ts"
import { benchArchive } from "./benchArchive.ts"
import { benchClaim } from "./benchClaim.ts"
import { benchCores } from "./benchCores.ts"
import { benchCost } from "./benchCost.ts"
import { benchCrawl } from "./benchCrawl.ts"
import { benchDisk } from "./benchDisk.ts"
import { benchEventDelay } from "./benchEventDelay.ts"
import { benchEvents } from "./benchEvents.ts"
import { benchFreshnessCrawl } from "./benchFreshnessCrawl.ts"
import { benchFreshness, type FreshnessSize } from "./benchFreshness.ts"
import { benchLookups } from "./benchLookups.ts"
import { benchMemory } from "./benchMemory.ts"
import { benchNation } from "./benchNation.ts"
import { benchObservations } from "./benchObservations.ts"
import { benchPage } from "./benchPage.ts"
import { benchParse } from "./benchParse.ts"
import { benchQueue } from "./benchQueue.ts"
import { benchStart } from "./benchStart.ts"
import { benchStreams } from "./benchStreams.ts"
import { benchSync } from "./benchSync.ts"
import { benchTasks } from "./benchTasks.ts"
import { type GroupResult, loadNow, report } from "./Report.ts"
import { writePage } from "./writePage.ts"

type BenchGroup = Effect.Effect<GroupResult, unknown, NodeServices.NodeServices | Scope.Scope>

/** In the order in which they run. */
const groupsWith = (size: FreshnessSize): Readonly<Record<string, BenchGroup>> => ({
  parse: benchParse,
  answers: benchAnswers,
  observations: benchObservations,
  archive: benchArchive,
  streams: benchStreams,
  sync: benchSync,
  claim: benchClaim,
  tasks: benchTasks,
  queue: benchQueue,
  crawl: benchCrawl,
  cores: benchCores,
  cost: benchCost,
  disk: benchDisk,
  events: benchEvents,
  eventDelay: benchEventDelay,
  lookups: benchLookups,
  start: benchStart,
  memory: benchMemory,
  freshness: benchFreshness(size),
  page: benchPage,
  nation: benchNation,
  freshnessCrawl: benchFreshnessCrawl
})
const shortRun: FreshnessSize = { seeds: 2, sites: 24, days: 35 }
const groupNames = Object.keys(groupsWith(shortRun))

class NotMeasured extends Data.TaggedError("NotMeasured")<{ readonly message: string }> {}

/** A group is cut off after this long: something hangs. A simulation that was asked to be longer takes what it takes. */
const patience = "5 minutes"
/** Those that take longer, and run only when they are named. */
const longer: Readonly<Record<string, Duration.Input>> = {
  cost: "30 minutes",
  disk: "20 minutes",
  freshnessCrawl: "60 minutes",
  nation: "90 minutes",
  // Its tables are the largest, and take longest to fill.
  page: "40 minutes"
}
/** As many tasks as its claim is asked for take minutes to make; lookups take four on a machine at rest. */
const somewhatLonger: Readonly<Record<string, Duration.Input>> = { tasks: "60 minutes", lookups: "15 minutes" }
const patienceFor = (name: string, { seeds }: FreshnessSize) =>
  name === "freshness" && seeds > shortRun.seeds ? "12 hours" : (longer[name] ?? somewhatLonger[name] ?? patience)

const measure = (name: string, group: BenchGroup, size: FreshnessSize) =>
  Effect.gen(function* () {
    yield* Console.error(`${name} …`)
    const loadBefore = yield* loadNow
    const result = yield* group.pipe(Effect.scoped, Effect.timeout(patienceFor(name, size)))
    yield* report(name, result, loadBefore)
  }).pipe(Effect.tapCause((cause) => Console.error(`${name} could not be measured: ${Cause.pretty(cause)}`)))

const bench = Command.make(
  "bench",
  {
    names: Argument.Literals("group", groupNames).pipe(
      Argument.variadic(),
      Argument.withDescription(`What to measure; all unless said: ${groupNames.join(", ")}`)
    ),
    page: Flag.Boolean("page").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Measure nothing: write the figures of bench/results into docs/benchmarks.md")
    ),
    seeds: Flag.Int("seeds").pipe(
      Flag.withDefault(shortRun.seeds),
      Flag.withDescription("Of freshness: how many councils are simulated")
    ),
    sites: Flag.Int("sites").pipe(
      Flag.withDefault(shortRun.sites),
      Flag.withDescription("Of freshness: sites of each, of five series")
    ),
    days: Flag.Int("days").pipe(
      Flag.withDefault(shortRun.days),
      Flag.withDescription("Of freshness: days of each, the first 15 for learning")
    )
  },
  Effect.fnUntraced(function* ({ days, names, page, seeds, sites }) {
    if (page) return yield* writePage
    const size = { seeds: Math.max(1, seeds), sites: Math.max(12, sites), days: Math.max(20, days) }
    const groups = groupsWith(size)
    const chosen = names.length === 0 ? groupNames.filter((name) => !(name in longer)) : [...new Set(names)]
    const failed: Array<string> = []
    for (const name of chosen) {
      const exit = yield* Effect.exit(measure(name, groups[name]!, size))
      if (Exit.isFailure(exit)) failed.push(name)
    }
    if (failed.length > 0) return yield* new NotMeasured({ message: `Not measured: ${failed.join(", ")}` })
  })
).pipe(Command.withDescription("Measure Penstock beside yardsticks of the same run"))

Command.run(bench, { version }).pipe(
  Effect.provide(NodeServices.layer),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  Effect.tapError((error) => Console.error(error.message)),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
