/**
 * Answers readers of observations. The only place of the archive that knows HTTP.
 */
import { Effect, Layer, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { storeUnavailable } from "./AccountingPointHandlers.ts"
import { Api } from "./Api.ts"
import { oneMore, pageOf, windowOf } from "./paging.ts"
import { defaultObservations } from "./ObservationApi.ts"
import { ObservationArchive } from "./ObservationArchive.ts"
import { asCsv, asJson, observationText } from "./observationText.ts"
import { refuse } from "./Problems.ts"

const sites = HttpApiBuilder.group(
  Api,
  "observationSites",
  Effect.fnUntraced(function* (handlers) {
    const archive = yield* ObservationArchive
    return handlers.handleAll({
      list: Effect.fnUntraced(
        function* ({ query }) {
          const window = windowOf(query)
          return pageOf(yield* archive.listSites(oneMore(window)), window.limit)
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      ),

      read: Effect.fnUntraced(
        function* ({ params }) {
          return (yield* archive.findSite(params.id)) ?? (yield* refuse("site-unknown", "no site has this id"))
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

const series = HttpApiBuilder.group(
  Api,
  "observationSeries",
  Effect.fnUntraced(function* (handlers) {
    const archive = yield* ObservationArchive
    return handlers.handle(
      "read",
      Effect.fnUntraced(
        function* ({ params, query, request }) {
          const { as_of: asOf, cursor: after, from, to } = query
          if (from !== undefined && to !== undefined && to < from) {
            return yield* refuse("malformed-request", "to: must not be before from")
          }
          if (!(yield* archive.hasSeries(params.id))) return yield* refuse("series-unknown", "no series has this id")
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
    )
  })
)

export const ObservationHandlers = Layer.mergeAll(sites, series)
