/**
 * Observations over HTTP, for readers. Shapes and statuses only.
 *
 * A time in a query needs an offset, `Z` or `+12:00`; one without is refused, since half of the readers would mean the
 * other. A `+` that was not encoded arrives as a blank, and is taken for what it was.
 */
import { Effect, Option, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { formatInstant, instantText, parseInstant } from "../domain/Instant.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { CouncilId } from "./HilltopAdministration.ts"
import { InTime } from "./InTime.ts"
import { NzstInstant } from "./ObservationArchive.ts"
import { ListedSite, PlacedSite, PlotView } from "./ObservationViews.ts"
import { PageOf, partOfName, windowQuery } from "./paging.ts"
import { problems } from "./Problems.ts"

const idOf = (what: string) =>
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 })).annotate({
    description: `The number of a ${what}.`,
    examples: [1]
  })

const rule = "must be an RFC 3339 time with an offset, such as 2026-08-01T00:00:00+12:00 or 2026-07-31T12:00:00Z"

/** As it is in the query of an address. */
const queryInstant = (description: string, example: string) =>
  Schema.optionalKey(
    Schema.String.annotate({
      ...instantText,
      description: `${description} ${instantText.description}`,
      examples: [example]
    }).pipe(
      Schema.decodeTo(
        Schema.Finite,
        SchemaTransformation.transformEffect({
          decode: (text: string, options) =>
            Option.match(parseInstant(text.replace(/ (?=\d\d:\d\d$)/, "+")), {
              onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ message: rule }, text, options)),
              onSome: (instant) => Effect.succeed(instant)
            }),
          encode: (instant) => Effect.succeed(formatInstant(instant))
        })
      )
    )
  )

const range = {
  from: queryInstant("Included.", "2026-01-01T00:00:00+12:00"),
  to: queryInstant("Excluded, and not before `from`.", "2027-01-01T00:00:00+12:00")
}
const asOf = queryInstant("What was known then; without it, what is known now.", "2027-01-01T00:00:00Z")
const after = queryInstant(
  "The time after which to go on: `next_cursor` of the page before.",
  "2026-01-01T00:00:00+12:00"
)
const limitTo = (most: number, usual: number, what: string) =>
  Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: most })).annotate({
      description: `How many ${what} at most; ${usual} unless said.`,
      examples: [100]
    })
  )

export const defaultObservations = 10_000
const mostObservations = 100_000

const seenAt = Schema.String.annotate({
  format: "date-time",
  description: "To the microsecond, in UTC.",
  examples: ["2026-01-01T00:00:00.123456Z"]
})

export const ObservationView = Schema.Struct({
  observed_at: NzstInstant,
  value: Schema.Finite.annotate({
    description: "With the digits the source gave: more than a float keeps, now and then."
  }),
  qualifier: Schema.optionalKey(
    Schema.Literals(["<", ">"]).annotate({ description: "The truth is below (`<`) or above (`>`) the value." })
  ),
  quality: Schema.optionalKey(Schema.Int.annotate({ description: "The quality code of the source." })),
  first_seen_at: seenAt
}).annotate({ identifier: "Observation" })

/** One of the values that a time had. */
export const VersionView = Schema.Struct({
  ...ObservationView.fields,
  superseded_at: Schema.NullOr(seenAt).annotate({ description: "Null for the one known now." })
}).annotate({ identifier: "ObservationVersion" })

const csv = Schema.String.annotate({
  description: "As CSV one line for each observation.",
  examples: [
    "observed_at,value,qualifier,quality,first_seen_at\n2026-01-01T00:00:00+12:00,0.002,<,600,2026-01-01T00:05:00.123456Z\n"
  ]
}).pipe(HttpApiSchema.asText({ contentType: "text/csv" }))

const sites = HttpApiGroup.make("observationSites")
  .annotateMerge(OpenApi.annotations({ title: "Observation sites", description: "Where is observed, for readers." }))
  .add(
    HttpApiEndpoint.get("list", "/observation/site", {
      query: {
        ...windowQuery,
        council: Schema.optionalKey(CouncilId),
        name: partOfName
      },
      success: PageOf(ListedSite),
      error: problems[503]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "listSites",
        summary: "List sites",
        description:
          "`name` is found anywhere in a site's, whatever the case. `wgs84` is computed from the grid where a site has no degrees."
      })
    ),
    HttpApiEndpoint.get("read", "/observation/site/:id", {
      params: { id: idOf("site") },
      success: PlacedSite,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ identifier: "readSite", summary: "Read a site with its series" }))
  )
  .annotate(RequiredScope, ["read"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const series = HttpApiGroup.make("observationSeries")
  .annotateMerge(
    OpenApi.annotations({
      title: "Observation series",
      description: "What was observed, and what was known of it when, for readers."
    })
  )
  .add(
    HttpApiEndpoint.get("read", "/observation/series/:id", {
      params: { id: idOf("series") },
      query: {
        ...range,
        as_of: asOf,
        cursor: after,
        limit: limitTo(mostObservations, defaultObservations, "observations")
      },
      success: [PageOf(ObservationView), csv],
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "readSeries",
        summary: "Read the observations of a series",
        description: [
          "In order of time, from `from` (included) to `to` (excluded). Times in the query carry an offset.",
          "`as_of`: what was known at that moment; without it, what is known now. A correction, a removal and a late value",
          `are told apart by \`first_seen_at\`. As JSON a page of \`limit\` (${defaultObservations} unless said), with the cursor of the`,
          "next; as `text/csv` all of the range, or `limit` of it. `cursor` is the time after which to go on: that of",
          "`next_cursor`, or `observed_at` of the last line that was read."
        ].join(" ")
      })
    ),
    HttpApiEndpoint.get("plot", "/observation/series/:id/plot", {
      params: { id: idOf("series") },
      query: {
        ...range,
        as_of: asOf,
        points: Schema.optionalKey(
          Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 5_000 })).annotate({
            description: "How many rows the picture has at most, about; 1000 unless said.",
            examples: [500]
          })
        )
      },
      success: PlotView,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "plotSeries",
        summary: "Read a series for a picture of it",
        description: [
          "In columns. Where there are more than `points` values (1000 unless said), the least and the greatest of so many stretches of",
          "time. A gap is a row with `n` 0. Numbers are floats; the exact values are those of the series itself."
        ].join(" ")
      })
    ),
    HttpApiEndpoint.get("versions", "/observation/series/:id/version", {
      params: { id: idOf("series") },
      query: {
        ...range,
        cursor: after,
        limit: limitTo(10_000, 1_000, "times")
      },
      success: PageOf(VersionView),
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "listCorrections",
        summary: "Read what of a series was corrected or removed",
        description: "All versions of up to `limit` times (1000 unless said) that have one which was superseded."
      })
    )
  )
  .annotate(RequiredScope, ["read"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

export const observationGroups = [sites, series] as const
