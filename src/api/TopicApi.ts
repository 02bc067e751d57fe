/**
 * The streams over HTTP: how far their readers are, and the records that were set aside. Shapes and statuses only.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Instant } from "../domain/Instant.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { InTime } from "./InTime.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { Redriven } from "./HilltopApi.ts"
import { storable } from "./Malformed.ts"
import { StreamsView } from "./Overview.ts"
import { PageOf } from "./paging.ts"
import { bodyProblems, problems } from "./Problems.ts"

const Topic = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._-]{1,249}$/), storable)
const Offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** Dead letters that one request sends again. */
export const mostLetters = 200
/** Characters of a document that are shown. */
export const mostShown = 100_000
export const defaultLetters = 50

const letterFields = {
  /** The topic that the record was set aside from. */
  topic: Schema.String,
  /** Among the dead letters of the topic. */
  offset: Schema.Finite,
  set_aside_at: Instant,
  reason: Schema.NullOr(Schema.String),
  source_partition: Schema.NullOr(Schema.Int),
  source_offset: Schema.NullOr(Schema.Finite),
  key: Schema.String,
  value_bytes: Schema.Int,
  redriven_at: Schema.NullOr(Instant),
  /** The name of the key that it was asked with. */
  redriven_by: Schema.NullOr(Schema.String)
}
export const LetterView = Schema.Struct(letterFields)
export type LetterView = typeof LetterView.Type

export const WholeLetter = Schema.Struct({
  ...letterFields,
  /** Its beginning, where it is long. Runs of 11 digits are blotted out. */
  value: Schema.String,
  value_cut: Schema.Boolean,
  headers: Schema.Record(Schema.String, Schema.String)
})
export type WholeLetter = typeof WholeLetter.Type

const oneLetter = { topic: Topic, offset: Offset }

const looking = HttpApiGroup.make("topics")
  .add(
    HttpApiEndpoint.get("read", "/topic", { success: StreamsView, error: problems[503] }).annotateMerge(
      OpenApi.annotations({ summary: "How far the readers of each topic are, by partition" })
    ),
    HttpApiEndpoint.get("letters", "/topic/dead_letter", {
      query: {
        topic: Topic,
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostLetters }))),
        cursor: Schema.optionalKey(Offset)
      },
      success: PageOf(LetterView),
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({ summary: "List the records of a topic that were set aside, the newest first" })
    ),
    HttpApiEndpoint.get("letter", "/topic/dead_letter/:topic/:offset", {
      params: oneLetter,
      success: WholeLetter,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Read a record that was set aside" }))
  )
  .annotate(RequiredScope, ["read", "admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const redriving = HttpApiGroup.make("deadLetters")
  .add(
    HttpApiEndpoint.post("redrive", "/topic/dead_letter/:topic/:offset/redrive", {
      params: oneLetter,
      success: LetterView,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Send a record to its topic again",
        description: "After the fix of what it failed by. Twice is allowed: what is in the topic is read again."
      })
    ),
    HttpApiEndpoint.post("redriveAll", "/topic/dead_letter/redrive", {
      payload: Schema.Struct({ topic: Topic }),
      success: Redriven,
      error: [problems[404], ...bodyProblems, problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Send again what was set aside and was not sent again yet",
        description: `The oldest first, up to ${mostLetters} in one request.`
      })
    )
  )
  .annotate(RequiredScope, ["admin"])
  .middleware(KnownQuery)
  .middleware(Authorization)

export const topicGroups = [looking, redriving] as const
