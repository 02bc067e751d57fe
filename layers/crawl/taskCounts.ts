/**
 * How many Hilltop tasks there are and how many are due, for people. Reads the whole table, so no loop may ask for it.
 *
 * Due is what a worker could take now. Of a paused source nothing is taken, and a lease that ran out holds nothing any more.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { secondsSince } from "../postgres/epochNumbers.ts"
import { rowsAs } from "../postgres/statementArrays.ts"

const isDue = `next_fetch_at <= now() AND set_aside_at IS NULL AND NOT s.paused AND (lease_until IS NULL OR lease_until <= now())`
const tasksOfSources = `hilltop_fetch_tasks t JOIN hilltop_sources s ON s.id = source_id
  LEFT JOIN hilltop_fetch_leases l ON l.task_id = t.id`

const ofSource = rowsAs(Schema.Struct({ source_id: Schema.Int, tasks: Schema.Int, due: Schema.Int }))

/** By the number of the source; one without tasks is not there. */
export const countTasksBySource = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* ofSource(sql`
    SELECT source_id, count(*)::int4 AS tasks, count(*) FILTER (WHERE ${sql.literal(isDue)})::int4 AS due
    FROM ${sql.literal(tasksOfSources)} GROUP BY source_id`)
  return new Map(rows.map((row) => [row.source_id, row]))
})

const TaskCounts = Schema.Struct({
  tasks: Schema.Int,
  /** With a document at least once. */
  fetched: Schema.Int,
  due: Schema.Int,
  in_flight: Schema.Int,
  failing: Schema.Int,
  /** Until the next one that is not due yet. */
  next_seconds: Schema.NullOr(Schema.Number)
})
const ofAll = rowsAs(TaskCounts)

/** Of all sources that are not paused. */
export const countTasks = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* ofAll(sql`
    SELECT count(*)::int4 AS tasks, count(*) FILTER (WHERE previous_data_hash IS NOT NULL)::int4 AS fetched,
      count(*) FILTER (WHERE ${sql.literal(isDue)})::int4 AS due, count(l.task_id)::int4 AS in_flight,
      count(*) FILTER (WHERE attempts > 0)::int4 AS failing,
      min(${sql.literal(secondsSince("now()", "next_fetch_at"))}) FILTER (WHERE next_fetch_at > now()) AS next_seconds
    FROM ${sql.literal(tasksOfSources)} WHERE NOT s.paused`)
  return row ?? (yield* Effect.die(new Error("an aggregate gave no row")))
})

const asSources = rowsAs(Schema.Struct({ sources: Schema.Int }))

/** Sources that are not paused. */
export const countSources = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* asSources(sql`SELECT count(*)::int4 AS sources FROM hilltop_sources WHERE NOT paused`)
  return row?.sources ?? 0
})
