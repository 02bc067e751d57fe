/**
 * A Hilltop server of a council, and which of its measurements are wanted: what its configuration may be, with the words for what it may
 * not be.
 *
 * The row is entered by operators, with SQL if they like, so its configuration is decoded at each use: one that cannot
 * be used is reported beside the source and disturbs no other.
 */
import { Schema } from "effect"

export const SourceConfiguration = Schema.Struct({
  measurementNames: Schema.Array(Schema.NonEmptyString)
    .check(Schema.isMinLength(1, { message: "must name at least one measurement" }))
    .annotate({
      description: "Data sources and their measurements that are fetched, by the names the server lists.",
      examples: [["Rainfall"]]
    }),
  excludedSitesNames: Schema.optional(
    Schema.Array(Schema.String).annotate({ description: "Sites that are not asked for." })
  ),
  requestsPerSecond: Schema.optional(
    // From about one a day: with much less, the time until the next one is no time that a database can count with.
    Schema.Finite.check(
      Schema.isBetween({ minimum: 0.000_01, maximum: 10_000 }, { message: "must be from 0.00001 to 10000" })
    ).annotate({ description: "The budget of its server, over all instances; `CRAWL_SERVER_RATE` unless said." })
  ),
  requestsPerDay: Schema.optional(
    Schema.Finite.check(
      Schema.isBetween({ minimum: 1, maximum: 864_000_000 }, { message: "must be from 1 to 864000000" })
    ).annotate({
      description:
        "How many requests its server should get in a day: what is worth the least waits. The rate alone says only how fast."
    })
  ),
  maxConcurrent: Schema.optional(
    Schema.Int.check(
      Schema.isBetween({ minimum: 1, maximum: 10_000 }, { message: "must be from 1 to 10000" })
    ).annotate({
      description: "Requests to its server at a time, over all instances; `CRAWL_SERVER_CONCURRENCY` unless said."
    })
  )
})
export type SourceConfiguration = typeof SourceConfiguration.Type

/** A source whose configuration was decoded. */
export interface HilltopSource {
  readonly id: number
  readonly councilId: number
  readonly htsUrl: string
  readonly configuration: SourceConfiguration
}
