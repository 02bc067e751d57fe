/**
 * The real crawl under the refresh policy beside the same crawl under the rules before it: the real crawler, its queue in
 * PostgreSQL and the simulated Hilltop server over sockets, through days in minutes, since all three read a time that moves
 * when nothing is due. Delays are from the moment at which the server first shows a value to the request that brings it.
 *
 * Beside each stands the simulation of `freshness` on the same deliveries, over ten seeds: what the service gains must lie
 * where the simulation says. A request takes no time in this world, and steps are of some seconds. `BENCH_DAYS` makes it other than
 * four days.
 */
import { Config, Console, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { PgHilltopQueue } from "../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../layers/crawl/PgHilltopSources.ts"
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
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { settings } from "./BenchPostgres.ts"
import type { Figure } from "./Figure.ts"
import { stepRules } from "./freshness/fixedRules.ts"
import { policyRule } from "./freshness/policyRule.ts"
import type { Score } from "./freshness/Score.ts"
import { simulate, tasksOf } from "./freshness/simulate.ts"
import { type World, worldStart } from "./freshness/World.ts"
import { type CrawledSeries, deliveredWorld } from "./freshnessCrawl/deliveredWorld.ts"
import { scoreOfCrawl } from "./freshnessCrawl/scoreOfCrawl.ts"
import { inSteppedTime, SteppedDatabase, SteppedTime, stepOn } from "./freshnessCrawl/SteppedTime.ts"
import type { GroupResult } from "./Report.ts"

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]
const measuredFromDay = 0.75
const seed = 7
const sites = 5
const historyDays = 1
const simulatedSeeds = 10
const rawTopic = "hilltop_raw"
/** How many days are crawled, at least one. */
const Days = Config.schema(
  Schema.NumberFromString.pipe(Schema.decodeTo(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })))),
  "BENCH_DAYS"
).pipe(Config.withDefault(4))
/** Steps of time, in milliseconds: what is due within one is asked together. */
const step = 5_000

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

const services = Crawler.layer({ concurrency: 16, rawTopic }).pipe(
  Layer.provideMerge(
    Layer.mergeAll(PgHilltopQueue, PgServerBudget, PgHilltopSources, UndiciHilltopClient, SaxesXmlScanner)
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

/** Days of the real service under a rule, with this wish for requests of each series and day. */
const crawlUnder = Effect.fnUntraced(function* (
  rule: Rule | undefined,
  requestsADay: number | undefined,
  series: number
) {
  const days = yield* Days
  const program = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const simulator = yield* HilltopSimulator
    const crawler = yield* Crawler
    const time = yield* SteppedTime
    const [source] = simulator.sources
    const configuration = {
      measurementNames: source!.measurementNames,
      ...(requestsADay === undefined ? {} : { requestsPerDay: Math.max(1, requestsADay * series) })
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
        yield* Console.error(`    day ${((told - worldStart) / day).toFixed(2)}: ${requests} requests`)
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
  }).pipe(Effect.provide(Layer.fresh(services)), Effect.scoped, inSteppedTime(worldStart))
  return yield* rule === undefined ? program : Effect.provideService(program, RefreshRule, rule)
})

const inMinutes = ({ all }: Score) => all.mean / 60

const simulated = (
  world: World,
  rule: (tasks: ReturnType<typeof tasksOf>, seed: number) => Parameters<typeof simulate>[2]
) => {
  const tasks = tasksOf(world)
  return Array.from({ length: simulatedSeeds }, (_, n) => simulate(tasks, n + 1, rule(tasks, n + 1)))
}

const told = (name: string, { score }: Run, scores: ReadonlyArray<Score>) => {
  const delays = scores.map(inMinutes)
  const empty = (one: Score) => `${Math.round(100 * one.emptyShare)} %`
  return Console.error(
    `  ${name}: ${score.requestsADay.toFixed(1)} requests a series and day, ${empty(score)} found nothing, ${inMinutes(score).toFixed(1)} min; ` +
      `simulated ${Math.min(...delays).toFixed(1)}–${Math.max(...delays).toFixed(1)} min at ${scores[0]!.requestsADay.toFixed(1)}`
  )
}

const measured = Effect.gen(function* () {
  const before = yield* crawlUnder(rulesBefore(1), undefined, 1)
  const series = before.world.series.length
  const beforeSimulated = simulated(before.world, (tasks, n) => stepRules(tasks, n, 1))
  yield* told("rules before", before, beforeSimulated)
  const shares = [1, 1 / 3]
  const figures = yield* Effect.forEach(
    shares,
    (share) =>
      Effect.gen(function* () {
        const requestsADay = before.score.requestsADay * share
        const policy = yield* crawlUnder(undefined, requestsADay, series)
        const scores = simulated(policy.world, (tasks, n) => policyRule(tasks, n, requestsADay))
        yield* told(`policy at ${requestsADay.toFixed(1)}`, policy, scores)
        const delay = inMinutes(policy.score)
        return [
          {
            name: `delay of the policy at ${policy.score.requestsADay.toFixed(0)} requests a series and day`,
            yardstick: `rules before at ${before.score.requestsADay.toFixed(0)}`,
            unit: "min",
            better: "lower",
            targets: [{ of: "ratio", bound: 1 }],
            rounds: [{ figure: delay, yardstick: inMinutes(before.score) }]
          },
          {
            name: "the same",
            yardstick: `simulated on the same deliveries, ${simulatedSeeds} seeds`,
            unit: "min",
            better: "lower",
            targets: [],
            rounds: scores.map((one) => ({ figure: delay, yardstick: inMinutes(one) }))
          }
        ] satisfies ReadonlyArray<Figure>
      }),
    { concurrency: shares.length }
  )
  return { figures: figures.flat(), postgres: undefined } satisfies GroupResult
})

export const benchFreshnessCrawl = measured
