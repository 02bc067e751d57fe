/**
 * Tasks in PostgreSQL, searched. What is asked for decides which index leads: see `find`.
 *
 * Whatever leads, a page looks at a bounded number of tasks, so it may be short although more follows. At 10 million tasks of 5,000
 * series (PostgreSQL 18): some 550 buffers for most, 2,200 where the 2,000 tasks of one name are put in order, 5,100 where a name is
 * looked for among those that fail. `npm run bench -- page` measures it.
 */
import { Effect, Layer, Schema } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import type { TaskStatus } from "../../src/api/HilltopAdministration.ts"
import { CursorUnknown, type FoundTask, TaskSearch, type TaskPage, type TaskQuery } from "../../src/api/TaskSearch.ts"
import { serverStates } from "../../src/api/Overview.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { askedForAgain } from "../crawl/askedForAgain.ts"
import { microsOf, secondsSince } from "../postgres/epochNumbers.ts"
import { inBriefTransaction } from "../postgres/heldRows.ts"
import { readEach } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { float8s, int4s, rowsAs, texts } from "../postgres/statementArrays.ts"
import { finite, writableMillis } from "../postgres/writableValues.ts"
import { plainAddress } from "./plainAddress.ts"
import { reasonOf, serverState } from "./describedServer.ts"
import { isLeased, isOfHilltop, taskColumns, taskFrom, TaskRow } from "./PgHilltopAdministration.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** As the index has them: see migration 26. */
const nameOf = (key: string) => `left(coalesce(details ->> '${key}', ''), 300)`
const [site, measurement] = [nameOf("siteName"), nameOf("measurementName")]

/** Tasks looked at for one page: so many take some 30 ms, one by one. */
const mostLooked = 20_000
/** Names looked at for one page. */
const mostNames = 341
/** Due tasks at the head of the queue that may be in flight, or fail. */
const spare = 100

/**
 * The statuses as `status` has them, as conditions; whether somebody runs it now is looked up last.
 */
const isStatus: Readonly<Record<TaskStatus, string>> = {
  claimed: isLeased,
  set_aside: `set_aside_at IS NOT NULL AND NOT ${isLeased}`,
  failing: `set_aside_at IS NULL AND attempts > 0 AND unavailable_since IS NULL AND NOT ${isLeased}`,
  due: `set_aside_at IS NULL AND (attempts = 0 OR unavailable_since IS NOT NULL) AND next_fetch_at <= now() AND NOT ${isLeased}`,
  scheduled: `set_aside_at IS NULL AND (attempts = 0 OR unavailable_since IS NOT NULL) AND next_fetch_at > now() AND NOT ${isLeased}`
}

const FoundRow = Schema.Struct({
  ...TaskRow.fields,
  site_name: Schema.String,
  measurement_name: Schema.String
})
const foundFrom = ({ measurement_name, site_name, ...row }: typeof FoundRow.Type): FoundTask => ({
  ...taskFrom(row),
  site_name: site_name === "" ? null : site_name,
  measurement_name: measurement_name === "" ? null : measurement_name
})

/** Where a page ended. Only what PostgreSQL can compare with: a cursor made by hand is refused, and is no failure of the database. */
const Id = Schema.Int
const SourceId = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))
const Name = Schema.String.check(Schema.makeFilter((text) => text.isWellFormed() && !text.includes("\0")))
/** Microseconds since 1970 of what a timestamp can be: from the year 4713 BC to 294276. */
const Micros = Schema.Finite.check(
  Schema.isBetween({ minimum: -210_866_803_200_000_000, maximum: 9_223_371_331_200_000_000 })
)
const ById = Schema.Struct({ id: Id })
const BySource = Schema.Struct({ source: SourceId, id: Id })
/** A task that an operator put before all others or off for ever has no number for its time. */
const ByDue = Schema.Struct({ due: Schema.Union([Micros, Schema.Literals(["infinity", "-infinity"])]), id: Id })
const ByName = Schema.Struct({ source: SourceId, site: Name, measurement: Name, id: Id })

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
const bySource = cursorCodec(BySource)
const byDue = cursorCodec(ByDue)
const byName = cursorCodec(ByName)

const NameRow = Schema.Struct({ source_id: Schema.Int, site_name: Schema.String, measurement_name: Schema.String })
const asNames = rowsAs(NameRow)
const asNamed = rowsAs(
  Schema.Struct({
    looked: Schema.Int,
    ids: Schema.Array(Schema.Finite),
    sources: Schema.Array(Schema.Int),
    sites: Schema.Array(Schema.String),
    measurements: Schema.Array(Schema.String)
  })
)
const asHeads = rowsAs(Schema.Struct({ id: Schema.Finite, due: Schema.Number }))
const asPlaces = rowsAs(BySource)
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
  server_state: Schema.Literals(serverStates),
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
        ) + `, ${site} AS site_name, ${measurement} AS measurement_name`
      )
    const foundBy = (statement: Statement.Fragment) =>
      Effect.map(Effect.flatMap(sql`${statement}`, readFound), ({ readable }) => readable)

    /** The sources that a query is about; nothing where it is about all. */
    const sourcesOf = ({ council, source }: Pick<TaskQuery, "council" | "source">) =>
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
        sql.literal(isOfHilltop),
        ...(sources === undefined ? [] : [sql`source_id = ANY(${sources})`]),
        ...(query.type === undefined ? [] : [sql`request_type = ${query.type}`]),
        ...(query.status === undefined ? [] : [sql.literal(isStatus[query.status])]),
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

    /** Those that fail or rest, by source and number; no further than a window of them. */
    const findMarked = Effect.fnUntraced(function* (query: TaskQuery, marked: Statement.Fragment) {
      const { id: after = 0, source: from = 0 } = (yield* bySource.read(query.cursor)) ?? {}
      const sources = sourcesOf(query)
      const lead = sql.and([
        marked,
        sql`(source_id, id) > (${from}::int4, ${after}::int8)`,
        sql`id <= ${Number.MAX_SAFE_INTEGER}::int8`,
        ...(sources === undefined ? [] : [sql`source_id = ANY(${sources})`])
      ])
      const isNarrow = query.name !== undefined || query.type !== undefined
      const looked = isNarrow ? mostLooked / 4 : query.limit + spare
      const rows = yield* foundBy(sql`
        SELECT ${columns(query.history)} FROM (SELECT * FROM hilltop_fetch_tasks WHERE ${lead} ORDER BY source_id, hilltop_fetch_tasks.id LIMIT ${looked}) t
        WHERE ${fits(query)} ORDER BY source_id, t.id LIMIT ${query.limit + 1}`)
      const page = pageOf(rows, query.limit, ({ id, source_id }) => bySource.write({ source: source_id, id }))
      if (page.next_cursor !== null) return page
      const [next] = yield* asPlaces(sql`
        SELECT source_id AS source, (id - 1)::float8 AS id FROM hilltop_fetch_tasks t WHERE ${lead} ORDER BY source_id, t.id OFFSET ${looked} LIMIT 1`)
      return { ...page, next_cursor: next === undefined ? null : bySource.write(next) }
    })

    /** By number, and no further than a window of them. */
    const findInWindow = Effect.fnUntraced(function* (query: TaskQuery) {
      const { id: after = 0 } = (yield* byId.read(query.cursor)) ?? {}
      const [first] = yield* asCount(sql`
        SELECT least(coalesce(min(id), 0), ${Number.MAX_SAFE_INTEGER}::int8)::float8 AS n FROM hilltop_fetch_tasks WHERE id > ${after}::int8`)
      const end = Math.max(after, (first?.n ?? 0) - 1) + mostLooked
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

    /** The longest due first, merged from the heads of all lanes, which are read from their index alone. */
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
      const looked = query.limit + spare
      const heads = yield* asHeads(sql`
        SELECT due.id::float8 AS id, ${sql.literal(microsOf("due.next_fetch_at"))} AS due
        FROM hilltop_lanes lane CROSS JOIN (SELECT DISTINCT hilltop_priority(name) FROM unnest(${
          query.type === undefined
            ? sql.literal(
                "ARRAY['SITES_LIST', 'MEASUREMENT_DATA_LATEST', 'MEASUREMENTS_LIST', 'MEASUREMENT_DATA']::text[]"
              )
            : sql`ARRAY[${query.type}]::text[]`
        }) AS names (name)) AS kind (priority)
        CROSS JOIN LATERAL (SELECT id, next_fetch_at FROM hilltop_fetch_tasks t
          WHERE t.origin = lane.origin AND t.source_id = lane.source_id AND t.priority = kind.priority
            AND t.set_aside_at IS NULL AND t.next_fetch_at <= now() AND ${after}
          ORDER BY t.next_fetch_at, t.id LIMIT ${looked}) due
        ${sources === undefined ? sql.literal("") : sql`WHERE lane.source_id = ANY(${sources})`}
        ORDER BY due.next_fetch_at, due.id LIMIT ${looked}`)
      const rows = yield* foundBy(sql`
        SELECT ${columns(query.history)} FROM unnest(${float8s(heads.map(({ id }) => id))}) WITH ORDINALITY AS head (head_id, n)
        JOIN hilltop_fetch_tasks t ON t.id = head_id::int8 WHERE ${fits(query)} ORDER BY n LIMIT ${query.limit + 1}`)
      const dues = new Map(heads.map(({ due, id }) => [id, due]))
      const cursorAfter = (id: number) => {
        const due = dues.get(id) ?? 0
        return byDue.write({ due: Number.isFinite(due) ? due : due > 0 ? "infinity" : "-infinity", id })
      }
      const page = pageOf(rows, query.limit, ({ id }) => cursorAfter(id))
      const last = heads.at(-1)
      if (page.next_cursor !== null || last === undefined || heads.length < looked) return page
      return { ...page, next_cursor: cursorAfter(last.id) }
    })

    type Place = typeof ByName.Type
    /** Names from a place on that may have such tasks. */
    const namesFrom = ({ council, name, source }: TaskQuery, place: Place | undefined, most: number) => {
      const sources = sourcesOf({ council, source })
      return asNames(sql`
        SELECT source_id, site_name, measurement_name FROM hilltop_task_names WHERE ${sql.and([
          sql.literal("true"),
          ...(sources === undefined ? [] : [sql`source_id = ANY(${sources})`]),
          ...(name === undefined
            ? []
            : [sql`(site_name ILIKE ${anywhere(name)} OR measurement_name ILIKE ${anywhere(name)})`]),
          ...(place === undefined
            ? []
            : [
                sql`(source_id, site_name, measurement_name) >= (${place.source}::int4, ${place.site}::text, ${place.measurement}::text)`
              ])
        ])} ORDER BY source_id, site_name, measurement_name LIMIT ${most}`)
    }
    /** The first tasks of these names that fit, with their names, and how many were looked at. */
    const tasksOf = Effect.fnUntraced(function* (
      query: TaskQuery,
      names: ReadonlyArray<typeof NameRow.Type>,
      place: Place | undefined,
      most: number
    ) {
      const isAfter =
        place === undefined
          ? sql.literal("true")
          : sql`id > CASE WHEN (source_id, ${sql.literal(site)}, ${sql.literal(measurement)})
              = (${place.source}::int4, ${place.site}::text, ${place.measurement}::text) THEN ${place.id}::int8 ELSE 0 END`
      const ofKind =
        query.type === undefined ? sql.literal("true") : sql`priority = hilltop_priority(${query.type}::text)`
      const [found] = yield* asNamed(sql`
        WITH looked AS MATERIALIZED (
          SELECT wanted.*, task.id, task.fits FROM unnest(${int4s(names.map(({ source_id }) => source_id))}, ${texts(names.map(({ site_name }) => site_name))},
            ${texts(names.map(({ measurement_name }) => measurement_name))}) WITH ORDINALITY AS wanted (source_id, site_name, measurement_name, n)
          CROSS JOIN LATERAL (SELECT id, ${fits({ ...query, name: undefined, source: undefined, council: undefined }, [isAfter])} AS fits
            FROM hilltop_fetch_tasks t WHERE source_id = wanted.source_id AND ${sql.literal(site)} = wanted.site_name
              AND ${sql.literal(measurement)} = wanted.measurement_name AND ${ofKind}) task
        ), named AS MATERIALIZED (SELECT * FROM looked WHERE fits ORDER BY n, id LIMIT ${most})
        SELECT (SELECT count(*)::int4 FROM looked) AS looked, coalesce(array_agg(id::float8 ORDER BY n, id), '{}') AS ids,
          coalesce(array_agg(source_id ORDER BY n, id), '{}') AS sources, coalesce(array_agg(site_name ORDER BY n, id), '{}') AS sites,
          coalesce(array_agg(measurement_name ORDER BY n, id), '{}') AS measurements FROM named`)
      if (found === undefined) return yield* Effect.die(new Error("an aggregate gave no row"))
      const places = found.ids.map((id, index): Place => ({
        id,
        source: found.sources[index]!,
        site: found.sites[index]!,
        measurement: found.measurements[index]!
      }))
      return { places, looked: found.looked }
    })

    /**
     * By source, site and measurement: from the names that fit to their tasks. One name first, which mostly has a page full of them,
     * then four times as many each time, as far as one page may look.
     */
    const findByName = Effect.fnUntraced(function* (query: TaskQuery) {
      let begin = yield* byName.read(query.cursor)
      const found: Array<Place> = []
      let [looked, named] = [0, 0]
      for (let step = 1; step >= 1 && found.length <= query.limit;) {
        const names = yield* namesFrom(query, begin, step + 1)
        const now = names.slice(0, step)
        const tasks = yield* tasksOf(query, now, begin, query.limit + 1 - found.length)
        found.push(...tasks.places)
        looked += tasks.looked
        named += now.length
        const next = names[step]
        begin = next && { source: next.source_id, site: next.site_name, measurement: next.measurement_name, id: 0 }
        if (begin === undefined) break
        const perName = Math.max(1, looked / named)
        step = Math.floor(Math.min(step * 4, mostNames - named, (mostLooked - looked) / perName))
      }
      const kept = found.slice(0, query.limit)
      const last = found.length > query.limit ? kept.at(-1) : begin
      const rows = yield* foundBy(sql`
        SELECT ${columns(query.history)} FROM unnest(${float8s(kept.map(({ id }) => id))}) WITH ORDINALITY AS kept (kept_id, n)
        JOIN hilltop_fetch_tasks t ON t.id = kept_id::int8 ORDER BY n`)
      return { items: rows.map(foundFrom), next_cursor: last === undefined ? null : byName.write(last) }
    })

    const fails = sql.literal("attempts > 0 AND set_aside_at IS NULL AND unavailable_since IS NULL")
    const rests = sql.literal("set_aside_at IS NOT NULL")
    const runs = sql.literal("id = ANY(ARRAY(SELECT task_id FROM hilltop_fetch_leases WHERE lease_until > now()))")

    const find = (query: TaskQuery) => {
      const { council, name, source, status: wanted, type } = query
      if (wanted === "claimed") return findById(query, runs)
      if (wanted === "failing") return findMarked(query, fails)
      if (wanted === "set_aside") return findMarked(query, rests)
      if (wanted === "due" && name === undefined) return findDue(query)
      if (source !== undefined || council !== undefined || name !== undefined || type !== undefined) {
        return findByName(query)
      }
      return wanted === undefined ? findById(query, sql.literal("true")) : findInWindow(query)
    }

    return TaskSearch.of({
      find: (query) => find(query).pipe(plain),

      read: Effect.fnUntraced(function* (id) {
        const rows = yield* sql`
          SELECT task.*, s.council_id, s.hts_url, s.paused, coalesce(s.problem, s.doubt) AS problem,
            server.origin, ${sql.literal(serverState("server"))} AS server_state, ${sql.literal(finite("server.pace"))} AS pace, server.in_flight, ${sql.literal(finite("server.recent_millis"))} AS recent_millis,
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
                  state: row.server_state,
                  reason: reasonOf({
                    state: row.server_state,
                    pace: row.pace ?? 1,
                    failures: row.server_failures ?? 0
                  }),
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
