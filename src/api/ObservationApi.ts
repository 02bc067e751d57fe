/**
 * Observations over HTTP, for readers. Shapes and statuses only.
 *
 * A time in a query needs an offset, `Z` or `+12:00`; one without is refused, since half of the readers would mean the
 * other. A `+` that was not encoded arrives as a blank, and is taken for what it was.
 */
import { Effect, Option, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { formatInstant, parseInstant } from "../domain/Instant.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { storable } from "./Malformed.ts"
import { CouncilId } from "./HilltopAdministration.ts"
import { InTime } from "./InTime.ts"
import { NzstInstant } from "./ObservationArchive.ts"
import { ListedSite, PlacedSite, PlotView } from "./ObservationViews.ts"
import { PageOf, windowQuery } from "./paging.ts"
import { problems } from "./Problems.ts"

const Id = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 }))

const rule = "must be an RFC 3339 time with an offset, such as 2026-08-01T00:00:00+12:00 or 2026-07-31T12:00:00Z"

/** As it is in the query of an address. */
const QueryInstant = Schema.String.pipe(
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

export const defaultObservations = 10_000
const mostObservations = 100_000

export const ObservationView = Schema.Struct({
  observed_at: NzstInstant,
  /** With the digits the source gave: more than a float keeps, now and then. */
  value: Schema.Finite,
  /** The truth is below (`<`) or above (`>`) the value. */
  qualifier: Schema.optionalKey(Schema.Literals(["<", ">"])),
  quality: Schema.optionalKey(Schema.Int),
  first_seen_at: Schema.String
})

/** One of the values that a time had. */
export const VersionView = Schema.Struct({
  ...ObservationView.fields,
  /** Null for the one known now. */
  superseded_at: Schema.NullOr(Schema.String)
})

const csv = Schema.String.annotate({
  description: "One line for each observation: observed_at,value,qualifier,quality,first_seen_at"
}).pipe(HttpApiSchema.asText({ contentType: "text/csv" }))

const sites = HttpApiGroup.make("observationSites")
  .add(
    HttpApiEndpoint.get("list", "/observation/site", {
      query: {
        ...windowQuery,
        council: Schema.optionalKey(CouncilId),
        name: Schema.optionalKey(
          Schema.String.check(
            Schema.makeFilter(
              (text: string) => (text.length > 0 && text.length <= 100) || "must have 1 to 100 characters"
            ),
            storable
          )
        )
      },
      success: PageOf(ListedSite),
      error: problems[503]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "List sites",
        description:
          "`name` is found anywhere in a site's, whatever the case. `wgs84` is computed from the grid where a site has no degrees."
      })
    ),
    HttpApiEndpoint.get("read", "/observation/site/:id", {
      params: { id: Id },
      success: PlacedSite,
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Read a site with its series" }))
  )
  .annotate(RequiredScope, ["read"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const series = HttpApiGroup.make("observationSeries")
  .add(
    HttpApiEndpoint.get("read", "/observation/series/:id", {
      params: { id: Id },
      query: {
        from: Schema.optionalKey(QueryInstant),
        to: Schema.optionalKey(QueryInstant),
        as_of: Schema.optionalKey(QueryInstant),
        cursor: Schema.optionalKey(QueryInstant),
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostObservations })))
      },
      success: [PageOf(ObservationView), csv],
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
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
      params: { id: Id },
      query: {
        from: Schema.optionalKey(QueryInstant),
        to: Schema.optionalKey(QueryInstant),
        as_of: Schema.optionalKey(QueryInstant),
        points: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 5_000 })))
      },
      success: PlotView,
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Read a series for a picture of it",
        description: [
          "In columns. Where there are more than `points` values (1000 unless said), the least and the greatest of so many stretches of",
          "time. A gap is a row with `n` 0. Numbers are floats; the exact values are those of the series itself."
        ].join(" ")
      })
    ),
    HttpApiEndpoint.get("versions", "/observation/series/:id/version", {
      params: { id: Id },
      query: {
        from: Schema.optionalKey(QueryInstant),
        to: Schema.optionalKey(QueryInstant),
        cursor: Schema.optionalKey(QueryInstant),
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })))
      },
      success: PageOf(VersionView),
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
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
