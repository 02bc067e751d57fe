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
import { BodyExamples } from "./OpenApiDocument.ts"
import { StreamsView } from "./Overview.ts"
import { PageOf } from "./paging.ts"
import { bodyProblems, problems } from "./Problems.ts"

const Topic = Schema.String.annotate({
  description: "The topic that records were set aside from.",
  examples: ["hilltop_raw"]
}).check(Schema.isPattern(/^[.]{0,9}[A-Za-z0-9_-][A-Za-z0-9._-]{0,239}$/u))
const Offset = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })).annotate({
  description: "Among the records that were set aside from the topic.",
  examples: [0]
})

/** Dead letters that one request sends again. */
export const mostLetters = 200
/** Characters of a document that are shown. */
export const mostShown = 100_000
export const defaultLetters = 50

const letterFields = {
  topic: Schema.String.annotate({ description: "The topic that the record was set aside from." }),
  offset: Schema.Int.annotate({ description: "Among the dead letters of the topic." }),
  set_aside_at: Instant,
  reason: Schema.NullOr(Schema.String),
  source_partition: Schema.NullOr(Schema.Int),
  source_offset: Schema.NullOr(Schema.Int),
  key: Schema.String,
  value_bytes: Schema.Int,
  redriven_at: Schema.NullOr(Instant),
  redriven_by: Schema.NullOr(Schema.String).annotate({ description: "The name of the key that it was asked with." })
}
export const LetterView = Schema.Struct(letterFields).annotate({
  identifier: "DeadLetter",
  description: "A record that was set aside."
})
export type LetterView = typeof LetterView.Type

export const WholeLetter = Schema.Struct({
  ...letterFields,
  value: Schema.String.annotate({ description: "Its beginning, where it is long. Runs of 11 digits are blotted out." }),
  value_cut: Schema.Boolean,
  headers: Schema.Record(Schema.String, Schema.String)
}).annotate({ identifier: "WholeDeadLetter", description: "A record that was set aside, with its value." })
export type WholeLetter = typeof WholeLetter.Type

const oneLetter = { topic: Topic, offset: Offset }

const looking = HttpApiGroup.make("topics")
  .annotateMerge(
    OpenApi.annotations({ title: "Topics", description: "How far the streams are, and what was set aside." })
  )
  .add(
    HttpApiEndpoint.get("read", "/topic", { success: StreamsView, error: problems[503] }).annotateMerge(
      OpenApi.annotations({ identifier: "readTopics", summary: "How far the readers of each topic are, by partition" })
    ),
    HttpApiEndpoint.get("letters", "/topic/dead_letter", {
      query: {
        topic: Topic,
        limit: Schema.optionalKey(
          Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostLetters })).annotate({
            description: `How many at most; ${defaultLetters} unless said.`,
            examples: [10]
          })
        ),
        cursor: Schema.optionalKey(
          Offset.annotate({ description: "Where to go on: `next_cursor` of the page before.", examples: [1] })
        )
      },
      success: PageOf(LetterView),
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "listDeadLetters",
        summary: "List the records of a topic that were set aside, the newest first"
      })
    ),
    HttpApiEndpoint.get("letter", "/topic/dead_letter/:topic/:offset", {
      params: oneLetter,
      success: WholeLetter,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ identifier: "readDeadLetter", summary: "Read a record that was set aside" }))
  )
  .annotate(RequiredScope, ["read", "admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const redriving = HttpApiGroup.make("deadLetters")
  .annotateMerge(
    OpenApi.annotations({ title: "Topics", description: "How far the streams are, and what was set aside." })
  )
  .add(
    HttpApiEndpoint.post("redrive", "/topic/dead_letter/:topic/:offset/redrive", {
      params: oneLetter,
      success: LetterView,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "redriveDeadLetter",
        summary: "Send a record to its topic again",
        description: "After the fix of what it failed by. Twice is allowed: what is in the topic is read again."
      })
    ),
    HttpApiEndpoint.post("redriveAll", "/topic/dead_letter/redrive", {
      payload: Schema.Struct({ topic: Topic }).annotate({ identifier: "DeadLettersOf" }),
      success: Redriven,
      error: [problems[404], ...bodyProblems, problems[503]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "redriveDeadLetters",
          summary: "Send again what was set aside and was not sent again yet",
          description: `The oldest first, up to ${mostLetters} in one request, and fewer where they take longer than some seconds.`
        })
      )
      .annotate(BodyExamples, { "application/json": { "Of one topic": { topic: "hilltop_raw" } } })
  )
  .annotate(RequiredScope, ["admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

export const topicGroups = [looking, redriving] as const
