/**
 * Sources and tasks of the crawl in PostgreSQL, for operators. What is changed here is noticed by the database's triggers,
 * like changes made by hand.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import {
  HilltopAdministration,
  refreshView,
  SourceExists,
  type SourceRegistration,
  type SourceView,
  type TaskFilter,
  TaskStatus,
  type TaskView
} from "../../src/api/HilltopAdministration.ts"
import { RequestType, SetAsideReason } from "../../src/domain/FetchTask.ts"
import { askedForAgain } from "../crawl/askedForAgain.ts"
import { inBriefTransaction } from "../postgres/heldRows.ts"
import { readEach } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { writableMillis } from "../postgres/writableValues.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))
const orExists = mapSqlFailure((cause) =>
  cause.reason._tag === "UniqueViolation" ? new SourceExists() : new StoreUnavailable({ cause })
)

const SourceRow = Schema.Struct({
  id: Schema.Int,
  council_id: Schema.Int,
  hts_url: Schema.String,
  configuration: Schema.Unknown,
  paused: Schema.Boolean,
  problem: Schema.NullOr(Schema.String),
  created_at: Schema.Finite,
  updated_at: Schema.Finite
})

export const TaskRow = Schema.Struct({
  id: Schema.Int,
  source_id: Schema.Int,
  request_type: RequestType,
  fetch_url: Schema.String,
  next_fetch_at: Schema.Finite,
  status: TaskStatus,
  attempts: Schema.Int,
  unavailable_since: Schema.NullOr(Schema.Finite),
  set_aside_reason: Schema.NullOr(SetAsideReason),
  refresh: Schema.NullOr(Schema.String),
  refresh_reason: Schema.NullOr(Schema.String),
  history: Schema.Unknown
})

/** What `jsonb` holds may be more than JSON can say: a number beyond all of ours reads as null. */
export const asJson = (value: unknown): Schema.Json => JSON.parse(JSON.stringify(value)) as Schema.Json
const sourceFrom = (row: typeof SourceRow.Type): SourceView => ({ ...row, configuration: asJson(row.configuration) })

export const taskFrom = ({ refresh, refresh_reason, ...row }: typeof TaskRow.Type): TaskView => ({
  ...row,
  refresh: refreshView(refresh, refresh_reason),
  history: Array.isArray(row.history) ? row.history.map(asJson) : []
})

const first = <A>(rows: ReadonlyArray<A>): A | undefined => rows[0]

const millis = (column: string) => `floor(${writableMillis(column)})::float8 AS ${column}`
const sourceColumns = `id, council_id, hts_url, configuration, paused, coalesce(problem, doubt) AS problem, ${millis("created_at")}, ${millis("updated_at")}`
export const isLeased = "EXISTS (SELECT FROM hilltop_fetch_leases l WHERE l.task_id = t.id AND l.lease_until > now())"
const status = `CASE WHEN ${isLeased} THEN 'claimed' WHEN set_aside_at IS NOT NULL THEN 'set_aside'
  WHEN attempts > 0 AND unavailable_since IS NULL THEN 'failing' WHEN next_fetch_at <= now() THEN 'due' ELSE 'scheduled' END`
/** A task that an operator put off for ever, or before all others, has a time all the same. */
export const taskColumns = `id::float8 AS id, source_id, request_type, fetch_url, ${millis("next_fetch_at")}, ${status} AS status,
  attempts, ${millis("unavailable_since")}, CASE WHEN set_aside_at IS NOT NULL THEN set_aside_reason END AS set_aside_reason,
  refresh, refresh_reason, previous_history AS history`

/** Those of other kinds, which programs that use the queue alone may have, are no requests to Hilltop: see migration 26. */
export const isOfHilltop = "request_type NOT LIKE '%.%'"

/**
 * By the number as it is stored: `ORDER BY id` alone would be by the number as it is shown, which no index has. It ends at its limit by
 * the primary key where nothing is filtered.
 */
export const tasksStatement = (
  sql: SqlClient.SqlClient,
  { after, limit, source, status: wanted, type }: TaskFilter
): Statement.Fragment => sql`
  SELECT ${sql.literal(taskColumns)} FROM hilltop_fetch_tasks t
  WHERE t.id > ${after}::int8 AND t.id <= ${Number.MAX_SAFE_INTEGER}::int8 AND ${sql.and([
    sql.literal(isOfHilltop),
    ...(source === undefined ? [] : [sql`source_id = ${source}`]),
    ...(type === undefined ? [] : [sql`request_type = ${type}`]),
    ...(wanted === undefined ? [] : [sql`${sql.literal(status)} = ${wanted}`])
  ])}
  ORDER BY t.id LIMIT ${limit}`

const readSources = readEach("Hilltop sources", SourceRow)
const readTasks = readEach("Hilltop tasks", TaskRow)

export const PgHilltopAdministration = Layer.effect(
  HilltopAdministration,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const sources = (statement: Statement.Fragment) =>
      Effect.map(Effect.flatMap(sql`${statement}`, readSources), ({ readable }) => readable.map(sourceFrom))
    const tasks = (statement: Statement.Fragment) =>
      Effect.map(Effect.flatMap(sql`${statement}`, readTasks), ({ readable }) => readable.map(taskFrom))
    const changing = inBriefTransaction(sql)

    const values = ({ configuration, council_id, hts_url, paused }: SourceRegistration) =>
      sql`${council_id}::int4, ${hts_url}, ${JSON.stringify(configuration)}::jsonb, ${paused ?? false}`

    return HilltopAdministration.of({
      listSources: ({ after, limit }) =>
        sources(
          sql`SELECT ${sql.literal(sourceColumns)} FROM hilltop_sources WHERE id > ${after}::int8 ORDER BY id LIMIT ${limit}`
        ).pipe(plain),

      findSource: (id) =>
        sources(sql`SELECT ${sql.literal(sourceColumns)} FROM hilltop_sources WHERE id = ${id}`).pipe(
          Effect.map(first<SourceView>),
          plain
        ),

      addSource: (registration) =>
        changing(
          sources(sql`
            INSERT INTO hilltop_sources (council_id, hts_url, configuration, paused) VALUES (${values(registration)})
            RETURNING ${sql.literal(sourceColumns)}`)
        ).pipe(
          Effect.flatMap((rows) => Effect.fromOption(Option.fromNullishOr(first<SourceView>(rows)))),
          Effect.catchTag("NoSuchElementError", Effect.die),
          orExists
        ),

      replaceSource: (id, registration) =>
        changing(
          sources(sql`
            UPDATE hilltop_sources SET (council_id, hts_url, configuration, paused) = ROW (${values(registration)}),
              problem = NULL, updated_at = now()
            WHERE id = ${id} RETURNING ${sql.literal(sourceColumns)}`)
        ).pipe(Effect.map(first<SourceView>), orExists),

      pauseSource: (id) =>
        changing(sql`UPDATE hilltop_sources SET paused = true, updated_at = now() WHERE id = ${id} RETURNING id`).pipe(
          Effect.map((rows) => rows.length > 0),
          plain
        ),

      resumeSource: (id) =>
        changing(
          sources(sql`
            UPDATE hilltop_sources SET paused = false, updated_at = now() WHERE id = ${id}
            RETURNING ${sql.literal(sourceColumns)}`)
        ).pipe(Effect.map(first<SourceView>), plain),

      listTasks: (filter) => tasks(tasksStatement(sql, filter)).pipe(plain),

      // One that runs at this moment keeps its lease, and is due again as soon as it is settled.
      runTask: (id) =>
        changing(
          tasks(sql`
            UPDATE hilltop_fetch_tasks t SET next_fetch_at = ${sql.literal(askedForAgain)}, attempts = 0, unavailable_since = NULL,
              set_aside_at = NULL, set_aside_reason = NULL, takeovers = CASE WHEN set_aside_at IS NULL THEN takeovers ELSE 0 END
            WHERE id = ${id}::int8 RETURNING ${sql.literal(taskColumns)}`)
        ).pipe(Effect.map(first<TaskView>), plain)
    })
  })
)
