/**
 * The crawl's claim with a million tasks on the queue, against the same claim with 10,000: 32 tasks of 300 servers, the pages that it
 * looks at, and a look that finds nothing because every server rests. `BENCH_TASKS` makes it up to five million, against a million as well.
 *
 * What is claimed is settled, untimed, and due again behind the others. The backlogs of `inventTasks` are
 * what a claim must not walk through: three fifths of all tasks due on one server, a fifth due and paused.
 */
import { Config, Context, Data, Duration, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Database } from "../../layers/postgres/Database.ts"
import { claimStatement } from "../../layers/crawl/claimStatement.ts"
import { budgetOf } from "../../layers/crawl/hilltopServers.ts"
import { PgHilltopQueue } from "../../layers/crawl/PgHilltopQueue.ts"
import { HilltopQueue } from "../../src/crawl/HilltopQueue.ts"
import type { ClaimedTask } from "../../src/domain/FetchTask.ts"
import type { Settlement } from "../../src/crawl/Settlement.ts"
import { BenchDatabase, BenchPostgres, postgresVersion, settings, withoutDeadlines } from "./BenchPostgres.ts"
import { BenchFailed } from "./BenchProcess.ts"
import { type Figure, spread } from "./Figure.ts"
import { inventTasks } from "./InventedTasks.ts"
import { milliseconds, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

const few = 10_000
const many = 1_000_000
const Tasks = Config.schema(
  Schema.NumberFromString.pipe(
    Schema.decodeTo(Schema.Int.check(Schema.isBetween({ minimum: few, maximum: 5_000_000 })))
  ),
  "BENCH_TASKS"
).pipe(Config.withDefault(1_000_000))

const claimed = 32
/** Claims of one turn, of which the median counts. */
const claims = 15

const settled = (task: ClaimedTask): Settlement => ({
  task,
  run: { at: "2026-01-01T00:00:00.000Z", result: "UNCHANGED", hash: "0123456789abcdef", millis: 120 },
  delay: Duration.zero,
  hash: undefined,
  attempts: 0,
  answer: { kind: "answered", millis: 120 }
})

/** Budgets that let a claim of 32 through every time, and no server has more than its usual share of it. */
const limits = { requestsPerSecond: 10_000, maxConcurrent: 4 }

const Explained = Schema.Tuple([
  Schema.Struct({ Plan: Schema.Struct({ "Shared Hit Blocks": Schema.Finite, "Shared Read Blocks": Schema.Finite }) })
])
class Undone extends Data.TaggedError("Undone")<{ readonly pages: number }> {}

/** A database of that many tasks, and the queue on it. */
const openSide = Effect.fnUntraced(function* (name: string, tasks: number) {
  const outer = yield* SqlClient.SqlClient
  yield* outer`CREATE DATABASE ${outer(name)}`
  const url = new URL((yield* BenchPostgres).url)
  url.pathname = `/${name}`
  const options = settings({
    DATABASE_URL: url.href,
    CRAWL_SERVER_RATE: String(limits.requestsPerSecond),
    CRAWL_SERVER_CONCURRENCY: String(limits.maxConcurrent)
  })
  const context = yield* Layer.build(
    Layer.fresh(PgHilltopQueue.pipe(Layer.provideMerge(Database), Layer.provide(options)))
  )
  yield* withoutDeadlines(url.href)(inventTasks(tasks))
  const sql = Context.get(context, SqlClient.SqlClient)
  const queue = Context.get(context, HilltopQueue)

  const oneClaim = Effect.gen(function* () {
    let found: ReadonlyArray<ClaimedTask> = []
    const took = yield* milliseconds(Effect.map(queue.claim(claimed), (answer) => (found = answer)))
    if (found.length !== claimed) return yield* new BenchFailed({ message: `${found.length} tasks were claimed` })
    yield* queue.settle(found.map(settled))
    return took
  })
  const claiming = claimStatement(sql, budgetOf(sql, limits), { limit: claimed, leaseSeconds: 15 })
  /** Pages that a claim looks at, which is undone. */
  const pages = sql<{ "QUERY PLAN": unknown }>`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${claiming}`.pipe(
    Effect.flatMap(([row]) => Schema.decodeUnknownEffect(Explained)(row?.["QUERY PLAN"])),
    Effect.flatMap(([{ Plan }]) =>
      Effect.fail(new Undone({ pages: Plan["Shared Hit Blocks"] + Plan["Shared Read Blocks"] }))
    ),
    sql.withTransaction,
    Effect.catchTag("Undone", ({ pages }) => Effect.succeed(pages))
  )
  const idleLook = Effect.flatMap(milliseconds(queue.claim(claimed)), (took) => Effect.succeed(took))
  const median = (one: Effect.Effect<number, unknown>) =>
    Effect.map(Effect.replicateEffect(one, claims), (took) => spread(took).median)
  const pauseAll = (paused: boolean) => sql`
    UPDATE hilltop_servers SET cool_down_until = CASE WHEN ${paused} THEN now() + interval '1 hour' END`
  return {
    claim: median(oneClaim),
    pages: median(pages),
    idle: pauseAll(true).pipe(Effect.andThen(median(idleLook)), Effect.ensuring(Effect.orDie(pauseAll(false))))
  }
})

const measured = Effect.gen(function* () {
  const tasks = yield* Tasks
  const sizes = tasks > many ? [few, many, tasks] : [few, tasks]
  const sides = yield* Effect.forEach(sizes, (size) =>
    Effect.map(openSide(`tasks_${size}`, size), (side) => [String(size), side] as const)
  )
  const figuresOf = (name: string, of: "claim" | "pages" | "idle", unit: string, targets: Figure["targets"]) =>
    Effect.map(
      takeTurns({ name, rounds: 9 }, Object.fromEntries(sides.map(([size, side]) => [size, side[of]]))),
      (turns) =>
        sizes.slice(0, -1).map((size): Figure => ({
          name: `${name} of ${tasks.toLocaleString("en")}`,
          yardstick: `of ${size.toLocaleString("en")}`,
          unit,
          better: "lower",
          targets,
          rounds: turns.map((turn) => ({ figure: turn[String(tasks)]!, yardstick: turn[String(size)]! }))
        }))
    )
  const target = [{ of: "ratio", bound: 1.3 }] as const
  const figures = [
    ...(yield* figuresOf(`claim of ${claimed} tasks`, "claim", "ms", target)),
    ...(yield* figuresOf(`pages that a claim of ${claimed} tasks looks at,`, "pages", "pages", target)),
    ...(yield* figuresOf("look that finds every server at rest", "idle", "ms", target))
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchTasks = Effect.provide(measured, BenchDatabase)
