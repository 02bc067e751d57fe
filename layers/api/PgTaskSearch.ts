/**
 * Tasks in PostgreSQL, searched. What is asked for decides which index leads: see `find`.
 *
 * At 6.5 million tasks of 5,000 series, on two busy cores: 10 ms for most, 20 to 100 where names lead, since all tasks of the first names
 * are put in order. `npm run bench -- page` measures it at 10 million.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { CursorUnknown, type FoundTask, TaskSearch, type TaskPage, type TaskQuery } from "../../src/api/TaskSearch.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { askedForAgain } from "../crawl/askedForAgain.ts"
import { microsOf, secondsSince } from "../postgres/epochNumbers.ts"
import { inBriefTransaction } from "../postgres/heldRows.ts"
import { readEach } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { int4s, rowsAs, texts } from "../postgres/statementArrays.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { plainAddress } from "./plainAddress.ts"
import { status, taskColumns, taskFrom, TaskRow } from "./PgHilltopAdministration.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** As the index has them: see migration 22. */
const nameOf = (key: string) => `left(coalesce(details ->> '${key}', ''), 300)`
const [site, measurement] = [nameOf("siteName"), nameOf("measurementName")]

/** Names looked at for one page: a few first, since they mostly suffice, and in all no more than take 50 ms. */
const nameSteps = [8, 40, 252] as const
/** Up to so many tasks that fail or rest are looked through one by one. */
const fewTasks = 5_000
/** Numbers of tasks looked at for one page, where no index leads. */
const window = 20_000

const FoundRow = Schema.Struct({
  ...TaskRow.fields,
  site_name: Schema.String,
  measurement_name: Schema.String,
  due_micros: Schema.Number
})
const foundFrom = ({ due_micros: _due, measurement_name, site_name, ...row }: typeof FoundRow.Type): FoundTask => ({
  ...taskFrom(row),
  site_name: site_name === "" ? null : site_name,
  measurement_name: measurement_name === "" ? null : measurement_name
})

/** Where a page ended. */
const ById = Schema.Struct({ id: Schema.Int })
/** A task that an operator put before all others or off for ever has no number for its time. */
const ByDue = Schema.Struct({
  due: Schema.Union([Schema.Finite, Schema.Literals(["infinity", "-infinity"])]),
  id: Schema.Int
})
const ByName = Schema.Struct({ source: Schema.Int, site: Schema.String, measurement: Schema.String, id: Schema.Int })

const cursorCodec = <S extends Schema.Codec<unknown, unknown>>(schema: S) => {
  const json = Schema.fromJsonString(schema)
  const text = Schema.StringFromBase64Url.pipe(Schema.decodeTo(json))
  const decode = Schema.decodeUnknownEffect(text, { onExcessProperty: "error" })
  return {
    read: (cursor: string | undefined) =>
      cursor === undefined ? Effect.succeed(undefined) : Effect.mapError(decode(cursor), () => new CursorUnknown()),
    write: (value: S["Type"]) => Schema.encodeSync(text as unknown as Schema.Codec<S["Type"], string>)(value)
  }
}
const byId = cursorCodec(ById)
const byDue = cursorCodec(ByDue)
const byName = cursorCodec(ByName)

const NameRow = Schema.Struct({ source_id: Schema.Int, site_name: Schema.String, measurement_name: Schema.String })
const asNames = rowsAs(NameRow)
const asCount = rowsAs(Schema.Struct({ n: Schema.Int }))
const readFound = readEach("Hilltop tasks", FoundRow)

const WholeRow = Schema.Struct({
  ...FoundRow.fields,
  set_aside_at: Schema.NullOr(Schema.Finite),
  created_at: Schema.Finite,
  due_in_seconds: Schema.Finite,
  council_id: Schema.Int,
  hts_url: Schema.String,
  paused: Schema.Boolean,
  problem: Schema.NullOr(Schema.String),
  origin: Schema.NullOr(Schema.String),
  pace: Schema.NullOr(Schema.Finite),
  in_flight: Schema.NullOr(Schema.Int),
  recent_millis: Schema.NullOr(Schema.Finite),
  usual_millis: Schema.NullOr(Schema.Finite),
  server_failures: Schema.NullOr(Schema.Int),
  asked_again_at: Schema.NullOr(Schema.Finite)
})
const readWhole = readEach("Hilltop tasks", WholeRow)

/** For ILIKE: the text, found anywhere. */
const anywhere = (text: string) => `%${text.replaceAll(/[\\%_]/g, "\\$&")}%`

export const PgTaskSearch = Layer.effect(
  TaskSearch,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const columns = (history: number) =>
      sql.literal(
        taskColumns.replace(
          "previous_history AS history",
          `(SELECT coalesce(jsonb_agg(run ORDER BY n), '[]') FROM (SELECT run, n FROM jsonb_array_elements(
            CASE jsonb_typeof(previous_history) WHEN 'array' THEN previous_history ELSE '[]' END) WITH ORDINALITY AS runs (run, n)
            ORDER BY n DESC LIMIT ${history}) last) AS history`
        ) + `, ${site} AS site_name, ${measurement} AS measurement_name, ${microsOf("next_fetch_at")} AS due_micros`
      )
    const foundBy = (statement: Statement.Fragment) =>
      Effect.map(Effect.flatMap(sql`${statement}`, readFound), ({ readable }) => readable)

    /** The sources that a query is about; nothing where it is about all. */
    const sourcesOf = ({ council, source }: TaskQuery) =>
      source === undefined && council === undefined
        ? undefined
        : sql`ARRAY(SELECT id FROM hilltop_sources WHERE ${sql.and([
            sql.literal("true"),
            ...(source === undefined ? [] : [sql`id = ${source}`]),
            ...(council === undefined ? [] : [sql`council_id = ${council}`])
          ])})`
    /** What a task `t` must be, whatever leads to it. */
    const fits = (query: TaskQuery, more: ReadonlyArray<Statement.Fragment> = []) => {
      const sources = sourcesOf(query)
      return sql.and([
        sql.literal("true"),
        ...(sources === undefined ? [] : [sql`source_id = ANY(${sources})`]),
        ...(query.type === undefined ? [] : [sql`request_type = ${query.type}`]),
        ...(query.status === undefined ? [] : [sql`${sql.literal(status)} = ${query.status}`]),
        ...(query.name === undefined
          ? []
          : [
              sql`(${sql.literal(site)} ILIKE ${anywhere(query.name)} OR ${sql.literal(measurement)} ILIKE ${anywhere(query.name)})`
            ]),
        ...more
      ])
    }
    /** A page of rows of which one more than fits was asked for. */
    const pageOf = (
      rows: ReadonlyArray<typeof FoundRow.Type>,
      limit: number,
      cursorOf: (last: typeof FoundRow.Type) => string
    ): TaskPage => {
      const kept = rows.slice(0, limit)
      const last = kept.at(-1)
      return {
        items: kept.map(foundFrom),
        next_cursor: rows.length > limit && last !== undefined ? cursorOf(last) : null
      }
    }
    const idCursor = ({ id }: { readonly id: number }) => byId.write({ id })

    /** By the numbers of the tasks, from an index of those that `lead` names. */
    const findById = Effect.fnUntraced(function* (query: TaskQuery, lead: Statement.Fragment) {
      const { id: after = 0 } = (yield* byId.read(query.cursor)) ?? {}
      const rows = yield* foundBy(sql`
        SELECT ${columns(query.history)} FROM hilltop_fetch_tasks t
        WHERE id > ${after}::int8 AND id <= ${Number.MAX_SAFE_INTEGER}::int8 AND ${lead} AND ${fits(query)}
        ORDER BY t.id LIMIT ${query.limit + 1}`)
      return pageOf(rows, query.limit, idCursor)
    })

    /** By number, and no further than a window of them. */
    const findInWindow = Effect.fnUntraced(function* (query: TaskQuery) {
      const { id: after = 0 } = (yield* byId.read(query.cursor)) ?? {}
      const [first] = yield* asCount(sql`
        SELECT least(coalesce(min(id), 0), ${Number.MAX_SAFE_INTEGER}::int8)::float8 AS n FROM hilltop_fetch_tasks WHERE id > ${after}::int8`)
      const end = Math.max(after, (first?.n ?? 0) - 1) + window
      const rows = yield* foundBy(sql`
        SELECT ${columns(query.history)} FROM hilltop_fetch_tasks t
        WHERE id > ${after}::int8 AND id <= ${end}::int8 AND ${fits(query)} ORDER BY t.id LIMIT ${query.limit + 1}`)
      const page = pageOf(rows, query.limit, idCursor)
      if (page.next_cursor !== null) return page
      const [more] = yield* asCount(
        sql`SELECT count(*)::int4 AS n FROM (SELECT FROM hilltop_fetch_tasks WHERE id > ${end}::int8 LIMIT 1) beyond`
      )
      return { ...page, next_cursor: more?.n === 1 ? byId.write({ id: end }) : null }
    })

    /** The longest due first, merged from the heads of all lanes. */
    const findDue = Effect.fnUntraced(function* (query: TaskQuery) {
      const cursor = yield* byDue.read(query.cursor)
      const after =
        cursor === undefined
          ? sql.literal("true")
          : sql`(next_fetch_at, id) > (${
              typeof cursor.due === "string"
                ? sql.literal(`'${cursor.due}'::timestamptz`)
                : sql`to_timestamp(0) + ${cursor.due}::float8 * interval '1 microsecond'`
            }, ${cursor.id}::int8)`
      const sources = sourcesOf(query)
      const rows = yield* foundBy(sql`
        WITH head AS MATERIALIZED (
          SELECT due.id FROM hilltop_lanes lane CROSS JOIN (SELECT DISTINCT hilltop_priority(name) FROM unnest(${
            query.type === undefined
              ? sql.literal(
                  "ARRAY['SITES_LIST', 'MEASUREMENT_DATA_LATEST', 'MEASUREMENTS_LIST', 'MEASUREMENT_DATA']::text[]"
                )
              : sql`ARRAY[${query.type}]::text[]`
          }) AS names (name)) AS kind (priority)
          CROSS JOIN LATERAL (SELECT id, next_fetch_at FROM hilltop_fetch_tasks t
            WHERE t.origin = lane.origin AND t.source_id = lane.source_id AND t.priority = kind.priority
              AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() AND ${after} AND ${sql.literal(status)} = 'due'
            ORDER BY t.next_fetch_at, t.id LIMIT ${query.limit + 1}) due
          ${sources === undefined ? sql.literal("") : sql`WHERE lane.source_id = ANY(${sources})`}
          ORDER BY due.next_fetch_at, due.id LIMIT ${query.limit + 1})
        SELECT ${columns(query.history)} FROM hilltop_fetch_tasks t WHERE id IN (SELECT id FROM head) ORDER BY t.next_fetch_at, t.id`)
      return pageOf(rows, query.limit, ({ due_micros, id }) =>
        byDue.write({ due: Number.isFinite(due_micros) ? due_micros : due_micros > 0 ? "infinity" : "-infinity", id })
      )
    })

    /** By source, site and measurement: from the names that fit to their tasks. */
    const findByName = Effect.fnUntraced(function* (query: TaskQuery) {
      const cursor = yield* byName.read(query.cursor)
      const sources = sourcesOf(query)
      let begin = cursor
      const found: Array<typeof FoundRow.Type> = []
      for (const step of nameSteps) {
        const names = yield* asNames(sql`
          SELECT source_id, site_name, measurement_name FROM hilltop_task_names WHERE ${sql.and([
            sql.literal("true"),
            ...(sources === undefined ? [] : [sql`source_id = ANY(${sources})`]),
            ...(query.name === undefined
              ? []
              : [sql`(site_name ILIKE ${anywhere(query.name)} OR measurement_name ILIKE ${anywhere(query.name)})`]),
            ...(begin === undefined
              ? []
              : [
                  sql`(source_id, site_name, measurement_name) >= (${begin.source}::int4, ${begin.site}::text, ${begin.measurement}::text)`
                ])
          ])} ORDER BY source_id, site_name, measurement_name LIMIT ${step + 1}`)
        const looked = names.slice(0, step)
        const after = begin?.id ?? 0
        const rows = yield* foundBy(sql`
          WITH named AS MATERIALIZED (
            SELECT task.id, n FROM unnest(${int4s(looked.map(({ source_id }) => source_id))}, ${texts(looked.map(({ site_name }) => site_name))},
              ${texts(looked.map(({ measurement_name }) => measurement_name))}) WITH ORDINALITY AS wanted (source_id, site_name, measurement_name, n)
            CROSS JOIN LATERAL (SELECT id FROM hilltop_fetch_tasks t
              WHERE source_id = wanted.source_id AND ${sql.literal(site)} = wanted.site_name AND ${sql.literal(measurement)} = wanted.measurement_name
                AND id > CASE WHEN ${begin !== undefined}::boolean AND (source_id, ${sql.literal(site)}, ${sql.literal(measurement)})
                  = (${begin?.source ?? 0}::int4, ${begin?.site ?? ""}::text, ${begin?.measurement ?? ""}::text) THEN ${after}::int8 ELSE 0 END
                AND ${fits({ ...query, name: undefined, source: undefined, council: undefined })}
              ORDER BY t.id LIMIT ${query.limit + 1}) task
            ORDER BY n, task.id LIMIT ${query.limit + 1 - found.length})
          SELECT ${columns(query.history)} FROM hilltop_fetch_tasks t JOIN named USING (id) ORDER BY n, t.id`)
        found.push(...rows)
        const next = names[step]
        if (found.length > query.limit) break
        if (next === undefined) return pageOf(found, query.limit, idCursor)
        begin = { source: next.source_id, site: next.site_name, measurement: next.measurement_name, id: 0 }
      }
      if (found.length > query.limit) {
        return pageOf(found, query.limit, ({ id, measurement_name, site_name, source_id }) =>
          byName.write({ source: source_id, site: site_name, measurement: measurement_name, id })
        )
      }
      return { items: found.map(foundFrom), next_cursor: begin === undefined ? null : byName.write(begin) }
    })

    const few = (condition: Statement.Fragment) =>
      Effect.map(
        asCount(
          sql`SELECT count(*)::int4 AS n FROM (SELECT FROM hilltop_fetch_tasks WHERE ${condition} LIMIT ${fewTasks + 1}) few`
        ),
        ([row]) => (row?.n ?? 0) <= fewTasks
      )
    const fails = sql.literal("attempts > 0 AND set_aside_at IS NULL AND unavailable_since IS NULL")
    const rests = sql.literal("set_aside_at IS NOT NULL")
    const runs = sql.literal("id = ANY(ARRAY(SELECT task_id FROM hilltop_fetch_leases WHERE lease_until > now()))")

    const find = Effect.fnUntraced(function* (query: TaskQuery) {
      const { council, name, source, status: wanted, type } = query
      const isNarrow = source !== undefined || council !== undefined || name !== undefined || type !== undefined
      if (wanted === "claimed") return yield* findById(query, runs)
      if (wanted === "due" && name === undefined) return yield* findDue(query)
      if (wanted === "failing" || wanted === "set_aside") {
        const lead = wanted === "failing" ? fails : rests
        // A page that was begun by number goes on so, however many there are by now.
        const isById = query.cursor === undefined ? !isNarrow || (yield* few(lead)) : yield* isOf(byId, query.cursor)
        if (isById) return yield* findById(query, lead)
      }
      if (isNarrow) return yield* findByName(query)
      return wanted === undefined ? yield* findById(query, sql.literal("true")) : yield* findInWindow(query)
    })

    return TaskSearch.of({
      find: (query) => find(query).pipe(plain),

      read: Effect.fnUntraced(function* (id) {
        const rows = yield* sql`
          SELECT task.*, s.council_id, s.hts_url, s.paused, coalesce(s.problem, s.doubt) AS problem,
            server.origin, ${sql.literal(finite("server.pace"))} AS pace, server.in_flight, ${sql.literal(finite("server.recent_millis"))} AS recent_millis,
            ${sql.literal(finite("server.usual_millis"))} AS usual_millis, server.failures AS server_failures,
            ${sql.literal(writableMillis("nullif(greatest(server.open_until, server.cool_down_until, now()), now())"))} AS asked_again_at
          FROM (SELECT ${columns(50)}, ${sql.literal(writableMillis("set_aside_at"))} AS set_aside_at, ${sql.literal(writableMillis("created_at"))} AS created_at,
              -- of a time that is none, the nearest that is
              least(1e12, greatest(-1e12, -${sql.literal(secondsSince("next_fetch_at"))})) AS due_in_seconds, t.origin AS task_origin
            FROM hilltop_fetch_tasks t WHERE id = ${id}::int8) task
          JOIN hilltop_sources s ON s.id = task.source_id LEFT JOIN hilltop_servers server ON server.origin = task.task_origin`
        const [row] = (yield* readWhole(rows)).readable
        if (row === undefined) return undefined
        return {
          ...foundFrom(row),
          set_aside_at: row.set_aside_at,
          created_at: row.created_at,
          due_in_seconds: row.due_in_seconds,
          source: {
            id: row.source_id,
            council_id: row.council_id,
            address: plainAddress(row.hts_url),
            paused: row.paused,
            problem: row.problem
          },
          server:
            row.origin === null
              ? null
              : {
                  origin: row.origin,
                  pace: row.pace ?? 1,
                  in_flight: row.in_flight ?? 0,
                  recent_millis: row.recent_millis ?? 0,
                  usual_millis: row.usual_millis ?? 0,
                  failures: row.server_failures ?? 0,
                  asked_again_at: row.asked_again_at
                }
        }
      }, plain),

      redriveLost: (source, most) =>
        inBriefTransaction(sql)(sql`
          WITH chosen AS MATERIALIZED (
            SELECT id FROM hilltop_fetch_tasks WHERE set_aside_at IS NOT NULL AND set_aside_reason = 'lost'
              ${source === undefined ? sql.literal("") : sql`AND source_id = ${source}`}
            ORDER BY id LIMIT ${most} FOR UPDATE SKIP LOCKED)
          UPDATE hilltop_fetch_tasks t SET next_fetch_at = ${sql.literal(askedForAgain)}, attempts = 0, unavailable_since = NULL,
            set_aside_at = NULL, set_aside_reason = NULL, takeovers = 0
          FROM chosen WHERE t.id = chosen.id RETURNING t.id`).pipe(
          Effect.map((rows) => rows.length),
          plain
        )
    })
  })
)

const isOf = (codec: { readonly read: (cursor: string) => Effect.Effect<unknown, CursorUnknown> }, cursor: string) =>
  Effect.match(codec.read(cursor), { onSuccess: () => true, onFailure: () => false })
