/**
 * The real crawl under the refresh policy beside the same crawl under the rules before it: the real crawler, its queue in
 * PostgreSQL and the simulated Hilltop server over sockets, through days in minutes, since all three read a time that moves
 * when nothing is due. Delays are from the moment at which the server first shows a value to the request that brings it.
 *
 * Beside each stands the simulation of `freshness` on the same deliveries, over twenty seeds, begun as a crawl begins: what the service
 * gains must lie where the simulation says. A request takes no time in this world. `BENCH_DAYS` makes it other than four days,
 * `BENCH_SEED` another world.
 */
import { Config, Console, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../layers/crawl/PgHilltopSources.ts"
import { PgRedirectBudget } from "../../layers/crawl/PgRedirectBudget.ts"
import { PgServerBudget } from "../../layers/crawl/PgServerBudget.ts"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { UndiciHilltopClient } from "../../layers/hilltop/UndiciHilltopClient.ts"
import { Crawler } from "../../src/crawl/Crawler.ts"
import { decide, type Look } from "../../src/crawl/RefreshPolicy.ts"
import { RefreshRule, type Rule } from "../../src/crawl/RefreshRule.ts"
import { checkSources } from "../../src/crawl/SourceWatch.ts"
import { askedMeasurement, askedSite } from "../../src/hilltop/AskedRange.ts"
import { MemoryTopics } from "../../src/stream/MemoryTopics.ts"
import { fromEpochMillis, isoText } from "../simulators/hilltop/WallTime.ts"
import { makeWorld } from "../simulators/hilltop/World.ts"
import { HilltopSimulator, type SimulatedSource } from "../simulators/HilltopSimulator.ts"
import { settings } from "./BenchPostgres.ts"
import type { Figure } from "./Figure.ts"
import { stepRules } from "./freshness/fixedRules.ts"
import { interval } from "./freshness/Comparison.ts"
import { policyRule } from "./freshness/policyRule.ts"
import type { Score } from "./freshness/Score.ts"
import { simulate, tasksOf } from "./freshness/simulate.ts"
import { classes, type World, worldStart } from "./freshness/SimulatedWorld.ts"
import { type CrawledSeries, deliveredWorld } from "./freshnessCrawl/deliveredWorld.ts"
import { scoreOfCrawl } from "./freshnessCrawl/scoreOfCrawl.ts"
import { inSteppedTime, SteppedDatabase, SteppedTime, stepOn } from "./freshnessCrawl/SteppedTime.ts"
import type { GroupResult } from "./Report.ts"

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]
const measuredFromDay = 0.75
const sites = 5
const historyDays = 1
const simulatedSeeds = 20
/** Requests of a series and day: as many as the rules before make here, and a third of that. */
const wishes = [150, 50]
const rawTopic = "hilltop_raw"
/** How many days are crawled, at least one. */
const Days = Config.schema(
  Schema.NumberFromString.pipe(Schema.decodeTo(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })))),
  "BENCH_DAYS"
).pipe(Config.withDefault(4))
const WorldSeed = Config.schema(Schema.NumberFromString.pipe(Schema.decodeTo(Schema.Int)), "BENCH_SEED").pipe(
  Config.withDefault(7)
)
/** Steps of time, in milliseconds: what is due within one is asked together. */
const step = 1_000

/** The rules before the policy, with all their intervals stretched by one factor. */
const rulesBefore = (stretch: number): Rule => {
  const delay = ({ at, newest, requestType, step: usual = hour }: Look): number => {
    if (requestType === "SITES_LIST") return day
    if (requestType === "MEASUREMENTS_LIST") return 12 * hour
    if (requestType === "MEASUREMENT_DATA") return 25 * day
    const silence = newest === undefined ? Infinity : at - newest
    return silence < day ? Math.min(6 * hour, Math.max(5 * minute, usual)) : silence < 7 * day ? 6 * hour : day
  }
  return {
    decide: (kept, look, server, lot) => {
      const jitter = 1 + 0.05 * (((lot >>> 0) % 2001) / 1000 - 1)
      const due = look.at + stretch * delay(look) * jitter
      return { ...decide(kept, look, server, lot), kept: "-", due, reason: "as before", wake: [] }
    },
    fromHistory: () => undefined,
    inherited: () => undefined,
    leaders: () => new Map()
  }
}

interface Run {
  readonly score: Score
  readonly world: World
}

const servicesIn = (seed: number) =>
  Crawler.layer({ concurrency: 16, rawTopic }).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        PgHilltopQueue,
        PgServerBudget,
        PgHilltopSources,
        UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget)),
        SaxesXmlScanner
      )
    ),
    Layer.provide(
      settings({
        CRAWL_ALLOW_PRIVATE: "true",
        CRAWL_SERVER_RATE: "20",
        CRAWL_SERVER_CONCURRENCY: "8",
        CRAWL_TIMEOUT: "20 seconds"
      })
    ),
    Layer.provideMerge(MemoryTopics.layer({ [rawTopic]: 16 })),
    Layer.provideMerge(SteppedDatabase),
    Layer.provideMerge(
      HilltopSimulator.layer({
        seed,
        councils: 1,
        sites,
        historyDays,
        corrections: 0,
        start: isoText(fromEpochMillis(worldStart)),
        gzip: "never"
      })
    )
  )

const crawled = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ url: string; type: string }>`
    SELECT fetch_url AS url, request_type AS type FROM hilltop_fetch_tasks
    WHERE request_type LIKE 'MEASUREMENT_DATA%' AND set_aside_at IS NULL ORDER BY id`
  const named = rows.map(({ type, url }) => ({
    type,
    site: askedSite(url) ?? "",
    measurement: askedMeasurement(url) ?? ""
  }))
  return named
    .filter(({ type }) => type === "MEASUREMENT_DATA_LATEST")
    .map(({ measurement, site }): CrawledSeries => ({
      site,
      measurement,
      months: named.filter(
        (one) => one.type === "MEASUREMENT_DATA" && one.site === site && one.measurement === measurement
      ).length
    }))
})

/** How many series of the sites that are listed and alive will be asked for their latest data. */
const wantedSeries = (
  { councilId, measurementNames }: SimulatedSource,
  simulator: HilltopSimulator["Service"]
): number => {
  const names = new Set(measurementNames)
  const wanted = simulator
    .sites(councilId)
    .filter(({ alive, listed }) => alive && listed > 0)
    .flatMap(({ series }) => series)
    .filter(
      (one) => one.tsType === "StdSeries" && !one.virtual && names.has(one.dataSource) && names.has(one.measurement)
    )
  return wanted.length
}

/** Days of the real service under a rule, with this wish for requests of each series and day. */
const crawlUnder = Effect.fnUntraced(function* (
  name: string,
  rule: Rule | undefined,
  requestsADay: number | undefined
) {
  const days = yield* Days
  const seed = yield* WorldSeed
  const program = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const simulator = yield* HilltopSimulator
    const crawler = yield* Crawler
    const time = yield* SteppedTime
    const [source] = simulator.sources
    const configuration = {
      measurementNames: source!.measurementNames,
      ...(requestsADay === undefined ? {} : { requestsPerDay: requestsADay * wantedSeries(source!, simulator) })
    }
    yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
      VALUES (${source!.councilId}, ${source!.htsUrl}, ${JSON.stringify(configuration)}::jsonb)`
    yield* checkSources
    const end = worldStart + days * day
    let told = worldStart
    while (time.now() < end) {
      if (time.now() >= told + 6 * hour) {
        told += 6 * hour
        const { requests } = yield* simulator.statistics
        yield* Console.error(`    ${name}, day ${((told - worldStart) / day).toFixed(2)}: ${requests} requests`)
      }
      yield* crawler.runOnce
      yield* stepOn(end, step)
    }
    const list = yield* crawled
    const requests = yield* simulator.requestsBetween(worldStart, end)
    const world = makeWorld({
      seed,
      origin: fromEpochMillis(worldStart),
      historyDays,
      corrections: 0,
      councilCount: 1,
      sitesPerCouncil: sites
    })
    const delivered = deliveredWorld(world, world.councils[0]!, list, { days, measuredFromDay })
    return { score: scoreOfCrawl(delivered, list, requests), world: delivered } satisfies Run as Run
  }).pipe(Effect.provide(Layer.fresh(servicesIn(seed))), Effect.scoped, inSteppedTime(worldStart))
  return yield* rule === undefined ? program : Effect.provideService(program, RefreshRule, rule)
})

const inMinutes = ({ all }: Score) => all.mean / 60

const simulated = (
  world: World,
  rule: (tasks: ReturnType<typeof tasksOf>, seed: number) => Parameters<typeof simulate>[2]
) => {
  const tasks = tasksOf(world)
  return Array.from({ length: simulatedSeeds }, (_, n) =>
    simulate(tasks, n + 1, rule(tasks, n + 1), { fromLists: true, step: step / 1000 })
  )
}

/** In which one more run of the same kind lies 19 times of 20. */
const range = (numbers: ReadonlyArray<number>) => {
  const { half, mean } = interval(numbers)
  const one = half * Math.sqrt(numbers.length + 1)
  return `${Math.max(0, mean - one).toFixed(1)}–${(mean + one).toFixed(1)}`
}

/** By class as well: of a few series in batches, chance decides more than any rule. */
const told = (name: string, { score }: Run, scores: ReadonlyArray<Score>) => {
  const ofClass = classes.flatMap((kind, n) => {
    const delay = (one: Score) => one.byClass[n]!.mean / 60
    const rows = score.byClass[n]!.rows
    return rows === 0
      ? []
      : [`${kind} (${rows} values) ${delay(score).toFixed(1)}, simulated ${range(scores.map(delay))}`]
  })
  return Console.error(
    `  ${name}: ${score.requestsADay.toFixed(1)} requests a series and day, simulated ${range(scores.map((one) => one.requestsADay))}; ` +
      `${Math.round(100 * score.emptyShare)} % found nothing, simulated ${range(scores.map((one) => 100 * one.emptyShare))}; ` +
      `minutes of delay: ${inMinutes(score).toFixed(1)}, simulated ${range(scores.map(inMinutes))}; ${ofClass.join("; ")}`
  )
}

const measured = Effect.gen(function* () {
  const runs = [
    { name: "rules before", rule: rulesBefore(1), wish: undefined },
    ...wishes.map((wish) => ({ name: `policy at ${wish}`, rule: undefined, wish }))
  ]
  // Each waits for its own database and server most of the time, so they go side by side.
  const [before, ...policies] = yield* Effect.forEach(
    runs,
    ({ name, rule, wish }) =>
      Effect.gen(function* () {
        const run = yield* crawlUnder(name, rule, wish)
        const scores = simulated(run.world, (tasks, n) =>
          rule === undefined ? policyRule(tasks, n, wish) : stepRules(tasks, n, 1)
        )
        yield* told(name, run, scores)
        return {
          delay: inMinutes(run.score),
          simulated: scores.map(inMinutes),
          requests: run.score.requestsADay.toFixed(0)
        }
      }),
    { concurrency: runs.length }
  )
  const figures = policies.flatMap(({ delay, requests, simulated }, n): ReadonlyArray<Figure> => [
    {
      name: `delay of the policy at ${requests} requests a series and day`,
      yardstick: `rules before at ${before!.requests}`,
      unit: "min",
      better: "lower",
      targets: n === 0 ? [{ of: "ratio", bound: 1 }] : [],
      rounds: [{ figure: delay, yardstick: before!.delay }]
    },
    {
      name: "the same",
      yardstick: `simulated on the same deliveries, ${simulatedSeeds} seeds`,
      unit: "min",
      better: "lower",
      targets: [],
      rounds: simulated.map((yardstick) => ({ figure: delay, yardstick }))
    }
  ])
  return { figures, postgres: undefined } satisfies GroupResult
})

export const benchFreshnessCrawl = measured
