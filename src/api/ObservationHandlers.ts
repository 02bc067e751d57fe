/**
 * Answers readers of observations. The only place of the archive that knows HTTP.
 */
import { Effect, Layer, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { formatInstant, type Instant } from "../domain/Instant.ts"
import { storeUnavailable } from "./AccountingPointHandlers.ts"
import { Api } from "./Api.ts"
import { oneMore, pageOf, windowOf } from "./paging.ts"
import { defaultObservations } from "./ObservationApi.ts"
import { ObservationArchive } from "./ObservationArchive.ts"
import { ObservationViews } from "./ObservationViews.ts"
import { asCsv, asJson, observationText } from "./observationText.ts"
import { refuse } from "./Problems.ts"

const sites = HttpApiBuilder.group(
  Api,
  "observationSites",
  Effect.fnUntraced(function* (handlers) {
    const archive = yield* ObservationArchive
    const views = yield* ObservationViews
    return handlers.handleAll({
      list: Effect.fnUntraced(
        function* ({ query }) {
          const window = windowOf(query)
          const { council, name } = query
          return pageOf(yield* views.sites(oneMore({ ...window, council, name })), window.limit)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      read: Effect.fnUntraced(
        function* ({ params }) {
          const site = (yield* archive.findSite(params.id)) ?? (yield* refuse("site-unknown", "no site has this id"))
          return { ...site, wgs84: views.wgs84(site.location) }
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

/** How much a header wants a media type; a range that names it counts before one that takes all. */
const weightOf = (accept: string, type: string): number => {
  const [family] = type.split("/")
  const weights = new Map(
    accept.split(",").map((one) => {
      const [range = "", ...parameters] = one.split(";").map((part) => part.trim().toLowerCase())
      const weight = parameters.find((parameter) => parameter.startsWith("q="))
      return [range, weight === undefined ? 1 : Number(weight.slice(2)) || 0] as const
    })
  )
  return weights.get(type) ?? weights.get(`${family}/*`) ?? weights.get("*/*") ?? 0
}

/** JSON, unless CSV is wanted more. */
const wantsCsv = (accept = "*/*"): boolean => weightOf(accept, "text/csv") > weightOf(accept, "application/json")

const seriesUnknown = refuse("series-unknown", "no series has this id")
const inOrder = (from: Instant | undefined, to: Instant | undefined) =>
  from !== undefined && to !== undefined && to < from
    ? refuse("malformed-request", "to: must not be before from")
    : Effect.void

/** What was known before the history begins would be told in part only. */
const keptSince = Effect.fnUntraced(function* (archive: ObservationArchive["Service"], asOf: Instant | undefined) {
  const since = asOf === undefined ? undefined : yield* archive.historySince
  if (asOf === undefined || since === undefined || asOf >= since) return
  return yield* refuse("history-not-kept", `as_of: what was known before ${formatInstant(since)} is not kept any more`)
})

const series = HttpApiBuilder.group(
  Api,
  "observationSeries",
  Effect.fnUntraced(function* (handlers) {
    const archive = yield* ObservationArchive
    const views = yield* ObservationViews
    return handlers.handleAll({
      plot: Effect.fnUntraced(
        function* ({ params, query: { as_of: asOf, from, points = 1_000, to } }) {
          yield* inOrder(from, to)
          yield* keptSince(archive, asOf)
          const plot = yield* views.plot({ seriesId: params.id, from, to, asOf, points })
          return plot ?? (yield* seriesUnknown)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      versions: Effect.fnUntraced(
        function* ({ params, query: { cursor: after, from, limit = 1_000, to } }) {
          yield* inOrder(from, to)
          if (!(yield* archive.hasSeries(params.id))) return yield* seriesUnknown
          const found = yield* views.versions({ seriesId: params.id, from, to, after, limit })
          const last = found.at(-1)?.at
          const isFull = new Set(found.map(({ at }) => at)).size === limit
          return {
            items: found.map(({ at, firstSeenAt, qualifier, quality, supersededAt, value }) => ({
              observed_at: at,
              value: Number(value),
              ...(qualifier === undefined ? {} : { qualifier }),
              ...(quality === undefined ? {} : { quality }),
              first_seen_at: formatInstant(firstSeenAt),
              superseded_at: supersededAt === undefined ? null : formatInstant(supersededAt)
            })),
            next_cursor: isFull && last !== undefined ? formatInstant(last) : null
          }
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      read: Effect.fnUntraced(
        function* ({ params, query, request }) {
          const { as_of: asOf, cursor: after, from, to } = query
          yield* inOrder(from, to)
          if (!(yield* archive.hasSeries(params.id))) return yield* seriesUnknown
          yield* keptSince(archive, asOf)
          const writing = wantsCsv(request.headers["accept"]) ? asCsv : asJson
          const limit = query.limit ?? (writing === asCsv ? Infinity : defaultObservations)
          const text = yield* observationText(archive, { seriesId: params.id, from, to, asOf, after, limit }, writing)
          const options = { contentType: writing.contentType, headers: { vary: "accept" } }
          return typeof text === "string"
            ? HttpServerResponse.text(text, options)
            : HttpServerResponse.stream(Stream.encodeText(text), options)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

export const ObservationHandlers = Layer.mergeAll(sites, series)
