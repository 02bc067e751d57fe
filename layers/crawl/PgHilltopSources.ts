/**
 * The table of sources in PostgreSQL. Triggers notify of changes, so that plain INSERTs of operators take effect at once.
 */
import { Array, Effect, Layer, Option, Schema } from "effect"
import { PgClient } from "@effect/sql-pg"
import { SqlSchema } from "effect/sql"
import { HilltopSources } from "../../src/crawl/HilltopSources.ts"
import type { PlanChange } from "../../src/crawl/PlanChange.ts"
import { doubtOf, mostNearby, mostTold, NoteSummary, SiteNote } from "../../src/crawl/SiteNote.ts"
import { RequestType, TaskDetails } from "../../src/domain/FetchTask.ts"
import { askedForAgain } from "./askedForAgain.ts"
import { brief, inBriefTransaction, untilFree } from "../postgres/heldRows.ts"
import { listen } from "../postgres/listen.ts"
import { readEach } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { rowsAs } from "../postgres/statementArrays.ts"
import { unhurried } from "../postgres/unhurried.ts"
import { LockTimeout, StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const unavailable = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** Tasks that are read by one statement, and judged in some 5 ms. */
const judgedAtOnce = 1_000
/** Tasks that are set aside or resumed by one statement. */
const atOnce = 2_000

const TaskRow = Schema.Struct({
  id: Schema.Finite,
  request_type: RequestType,
  fetch_url: Schema.String,
  details: TaskDetails,
  rests: Schema.Boolean,
  set_aside_reason: Schema.NullOr(Schema.String)
})
/** Of a task among those of its source. */
interface Position {
  readonly request_type: string
  readonly fetch_url: string
}
const decodeTask = Schema.decodeUnknownOption(TaskRow)

const Row = Schema.Struct({
  id: Schema.Int,
  council_id: Schema.Int,
  hts_url: Schema.String,
  configuration: Schema.Unknown,
  problem: Schema.NullOr(Schema.String),
  doubt: Schema.NullOr(Schema.String),
  planned: Schema.Unknown
})

const decodeNote = Schema.decodeUnknownOption(SiteNote)

const readSources = readEach("Hilltop sources", Row)

export const PgHilltopSources = Layer.effect(
  HilltopSources,
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    const rows = SqlSchema.findAll({
      Request: Schema.Void,
      Result: Schema.Unknown,
      execute: () => sql`
        SELECT id, council_id, hts_url, configuration, problem, doubt, planned FROM hilltop_sources WHERE NOT paused ORDER BY id`
    })
    /** By the unique key of tasks, without a sort: 1.3 ms a page, whatever other sources have. */
    const pageOfTasks = (sourceId: number, { fetch_url, request_type }: Position) =>
      sql<typeof TaskRow.Encoded>`
        SELECT id::float8 AS id, request_type, fetch_url, details, set_aside_at IS NOT NULL AS rests, set_aside_reason
        FROM hilltop_fetch_tasks
        WHERE source_id = ${sourceId} AND (request_type, fetch_url) > (${request_type}, ${fetch_url})
        ORDER BY request_type, fetch_url LIMIT ${judgedAtOnce}::int4`

    /** The tasks that are to rest or to go on, and why. What rests for other reasons, or is not understood, is left alone. */
    const tasksToJudge = Effect.fnUntraced(function* ({ sourceId, whyUnwanted }: PlanChange) {
      const judged: Array<{ readonly id: number; readonly reason: string }> = []
      let last: Position = { request_type: "", fetch_url: "" }
      for (;;) {
        const page = yield* pageOfTasks(sourceId, last)
        for (const row of page) {
          const task = Option.getOrUndefined(decodeTask(row))
          if (task === undefined) continue
          const { details, fetch_url: fetchUrl, id, request_type: requestType, set_aside_reason: before } = task
          if (task.rests && before !== "excluded" && before !== "unwanted") continue
          const reason = whyUnwanted({ requestType, fetchUrl, details }) ?? null
          if (reason !== before) judged.push({ id, reason: reason ?? "" })
        }
        const end = page.at(-1)
        if (end === undefined || page.length < judgedAtOnce) return judged
        last = end
      }
    })

    /**
     * In statements of their own, so that no settlement waits for the locks of all. 0.2 ms a task. What somebody else holds is
     * passed over, and the change is not noted as done then: the next check of the sources judges it again.
     */
    const setAsideOrResume = (tasks: ReadonlyArray<{ readonly id: number; readonly reason: string }>) => {
      const ids = sql`${tasks.map(({ id }) => String(id))}::bigint[]`
      const restOrGoOn = sql.literal("(set_aside_at IS NULL OR set_aside_reason IN ('excluded', 'unwanted'))")
      return sql<{ held: boolean }>`
        WITH wanted AS MATERIALIZED (
          SELECT id FROM hilltop_fetch_tasks WHERE id = ANY(${ids}) AND ${restOrGoOn}
        ), locked AS MATERIALIZED (
          SELECT id FROM hilltop_fetch_tasks WHERE id = ANY(${ids}) AND ${restOrGoOn}
          ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
        ), changed AS (
          UPDATE hilltop_fetch_tasks t SET set_aside_reason = nullif(judged.reason, ''),
            set_aside_at = CASE WHEN judged.reason <> '' THEN now() END
          FROM unnest(${ids}, ${tasks.map(({ reason }) => reason)}::text[]) AS judged (id, reason) JOIN locked USING (id)
          WHERE t.id = judged.id
        )
        SELECT (SELECT count(*) FROM wanted) > (SELECT count(*) FROM locked) AS held`
    }

    /** Makes the lists due, once. Where another instance judged by another configuration meanwhile, all is judged again. */
    const keepPlanned = Effect.fnUntraced(function* ({ before, measurementsLists, planned, sourceId }: PlanChange) {
      const now = sql`${JSON.stringify(planned)}::jsonb`
      const [kept] = yield* sql<{ disturbed: boolean }>`
        UPDATE hilltop_sources SET planned = CASE
          WHEN planned IS NOT DISTINCT FROM nullif(${JSON.stringify(before ?? null)}::jsonb, 'null') THEN ${now} END
        WHERE id = ${sourceId} AND planned IS DISTINCT FROM ${now} RETURNING planned IS NULL AS disturbed`
      if (kept === undefined) return
      if (kept.disturbed) return yield* Effect.asVoid(sql`SELECT notify_patiently('penstock_hilltop_sources', '')`)
      yield* sql`
        UPDATE hilltop_fetch_tasks t SET next_fetch_at = ${sql.literal(askedForAgain)}
        WHERE id = ANY(ARRAY(
          SELECT id FROM hilltop_fetch_tasks
          WHERE source_id = ${sourceId} AND set_aside_at IS NULL AND (request_type = 'SITES_LIST'
            OR ${measurementsLists} AND request_type = 'MEASUREMENTS_LIST')
          ORDER BY id FOR UPDATE))`
      yield* sql`SELECT notify_patiently('penstock_hilltop_tasks', '')`
    })

    /**
     * A source has some thousands of notes, which are read when one has changed; names are looked through only where nothing
     * matches. Sites that are excluded leave no doubt, compared as `wantedNames` does.
     */
    const summarize = (sourceId: number) =>
      summaries(sql`
        WITH excluded AS MATERIALIZED (
          SELECT normalize(name) AS name FROM hilltop_sources s, jsonb_array_elements_text(
            CASE jsonb_typeof(s.configuration -> 'excludedSitesNames') WHEN 'array'
              THEN s.configuration -> 'excludedSitesNames' ELSE '[]' END) AS name
          WHERE s.id = ${sourceId} AND name IS NOT NULL
        ), noted AS MATERIALIZED (
          SELECT site_name, note FROM hilltop_site_notes
          WHERE source_id = ${sourceId} AND normalize(site_name) NOT IN (SELECT name FROM excluded)
        ), vanished AS MATERIALIZED (
          SELECT site_name, series FROM noted, jsonb_array_elements_text(note -> 'vanished') AS series
        ), other_units AS MATERIALIZED (
          SELECT site_name, series FROM noted, jsonb_array_elements_text(note -> 'units') AS series
        )
        SELECT (SELECT count(*) FROM noted WHERE note -> 'listed' = 'true')::int4 AS lists,
          (SELECT count(*) FROM noted WHERE note -> 'found' <> '[]')::int4 AS matching,
          CASE WHEN EXISTS (SELECT FROM noted WHERE note -> 'found' <> '[]') THEN '{}' ELSE
            array(SELECT DISTINCT name COLLATE "C" FROM noted, jsonb_array_elements_text(note -> 'nearby') AS name
              ORDER BY 1 LIMIT ${mostNearby}::int4) END AS nearby,
          (SELECT count(*) FROM vanished)::int4 AS vanished,
          (SELECT coalesce(jsonb_agg(jsonb_build_array(site_name, series) ORDER BY site_name COLLATE "C", series COLLATE "C"), '[]')
            FROM (SELECT * FROM vanished ORDER BY site_name COLLATE "C", series COLLATE "C" LIMIT ${mostTold}::int4) v)
            AS "vanishedAt",
          (SELECT count(*) FROM other_units)::int4 AS units,
          (SELECT coalesce(jsonb_agg(jsonb_build_array(site_name, series) ORDER BY site_name COLLATE "C", series COLLATE "C"), '[]')
            FROM (SELECT * FROM other_units ORDER BY site_name COLLATE "C", series COLLATE "C" LIMIT ${mostTold}::int4) u)
            AS "unitsAt"`)

    const keepDoubt = Effect.fnUntraced(function* (sourceId: number) {
      const [summary] = yield* summarize(sourceId)
      const doubt = (summary === undefined ? undefined : doubtOf(summary)) ?? null
      yield* inBriefTransaction(sql)(sql`
        UPDATE hilltop_sources SET doubt = ${doubt}::text
        WHERE id = ${sourceId} AND doubt IS DISTINCT FROM ${doubt}::text`)
    })
    const summaries = rowsAs(NoteSummary)

    return HilltopSources.of({
      list: rows().pipe(
        Effect.flatMap(readSources),
        Effect.map(({ readable }) =>
          readable.map((row) => ({
            id: row.id,
            councilId: row.council_id,
            htsUrl: row.hts_url,
            configuration: row.configuration,
            problem: row.problem ?? undefined,
            doubt: row.doubt ?? undefined,
            planned: row.planned
          }))
        ),
        Effect.catchTag("SchemaError", Effect.die),
        unavailable
      ),
      report: (id, problem) =>
        inBriefTransaction(sql)(
          sql`UPDATE hilltop_sources SET problem = ${problem ?? null}::text WHERE id = ${id}`
        ).pipe(Effect.asVoid, unavailable),
      replan: Effect.fnUntraced(function* (change) {
        const judged = yield* unhurried(sql, 60)(tasksToJudge(change))
        const ends = yield* Effect.forEach(Array.chunksOf(judged, atOnce), setAsideOrResume)
        if (ends.some(([end]) => end?.held === true)) return yield* new StoreUnavailable({ cause: new LockTimeout() })
        yield* untilFree(unhurried(sql, 60, brief)(keepPlanned(change)))
        yield* keepDoubt(change.sourceId)
      }, unavailable),
      noteOf: (id, siteName) =>
        sql<{ note: unknown }>`
          SELECT note FROM hilltop_site_notes WHERE source_id = ${id} AND site_name = ${siteName}`.pipe(
          Effect.map(([row]) => Option.getOrUndefined(decodeNote(row?.note))),
          unavailable
        ),
      note: (id, siteName, note) =>
        inBriefTransaction(sql)(sql`
          INSERT INTO hilltop_site_notes (source_id, site_name, note)
          VALUES (${id}::int4, ${siteName}::text, ${JSON.stringify(note)}::jsonb)
          ON CONFLICT (source_id, site_name) DO UPDATE SET note = EXCLUDED.note`).pipe(
          Effect.andThen(keepDoubt(id)),
          unavailable
        ),
      changes: listen(sql, "penstock_hilltop_sources")
    })
  })
)
