/**
 * What operates the simulator while it runs, under `/simulator/` on the adapter's own port: look, break, change, reset.
 *
 * It asks for no key: whoever reaches a simulator may do as they like with it. An outage of the adapter does not touch
 * it, or nobody could end the outage.
 */
import { Clock, Effect, Layer, Predicate, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { decodeFaults, type AdapterFaults } from "./AdapterFaults.ts"
import { problem, type AdapterParts } from "./AdapterServer.ts"
import { ChangeOrder, NoSuchPoint } from "./ForcedChange.ts"
import { gsrnOf } from "./InventedNumbers.ts"
import { formatOslo } from "./OsloMidnight.ts"
import { perTimeline, type AccountingPointState } from "./Timelines.ts"

/** A point, and what a lookup that is to succeed now gives as its end user. */
export interface SimulatedPoint {
  readonly index: number
  readonly gsrn: string
  /** A birth date as DDMMYY or an organisation number; undefined when the point has no end user now. */
  readonly lookupEndUser: string | undefined
  /** What the datahub knows now; undefined when it was made to forget the point. */
  readonly state: AccountingPointState | undefined
}

/** The point with this index as it is now; the index has to exist. */
export const pointAt = (parts: AdapterParts, index: number): Effect.Effect<SimulatedPoint> =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    index,
    gsrn: gsrnOf(index),
    lookupEndUser: parts.world.lookupEndUser(index, now),
    state: parts.world.stateAt(index, now)
  }))

/** Changes the point as ordered, and says what it is then. */
export const changePoint = Effect.fnUntraced(function* (parts: AdapterParts, gsrn: string, order: ChangeOrder) {
  const index = parts.world.indexOf(gsrn)
  if (index === undefined) return yield* new NoSuchPoint({ gsrn })
  yield* parts.world.change(index, order, yield* Clock.currentTimeMillis)
  return yield* pointAt(parts, index)
})

/** Back to the beginning: no ordered changes, the first faults, nothing counted. Time is not turned back. */
export const resetAll = (parts: AdapterParts, initial: AdapterFaults): Effect.Effect<void> =>
  Effect.sync(() => {
    parts.world.reset()
    parts.faults.set(initial)
    parts.tally.reset()
  })

/** The routes under `/simulator/`. `initial` are the faults a reset returns to. */
export const controlRoutes = (parts: AdapterParts, initial: AdapterFaults) => {
  const faults = Effect.sync(() => HttpServerResponse.jsonUnsafe(parts.faults.current()))
  const setFaults = (settings: unknown) =>
    decodeFaults(settings).pipe(
      Effect.tap((decoded) => Effect.sync(() => parts.faults.set(decoded))),
      Effect.andThen(faults)
    )
  const body = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.json)

  return Layer.mergeAll(
    HttpRouter.add(
      "GET",
      "/simulator/statistics",
      Effect.sync(() => HttpServerResponse.jsonUnsafe(parts.tally.statistics()))
    ),
    HttpRouter.add(
      "GET",
      "/simulator/requests",
      Effect.sync(() => HttpServerResponse.jsonUnsafe({ items: parts.tally.requests() }))
    ),
    HttpRouter.add("GET", "/simulator/faults", faults),
    // PUT replaces, and what it leaves out takes its default; PATCH changes only what it names.
    HttpRouter.add("PUT", "/simulator/faults", readable(Effect.flatMap(body, setFaults))),
    HttpRouter.add(
      "PATCH",
      "/simulator/faults",
      readable(
        Effect.flatMap(body, (named: unknown) =>
          setFaults(Predicate.isObject(named) ? { ...parts.faults.current(), ...named } : named)
        )
      )
    ),
    HttpRouter.add(
      "POST",
      "/simulator/change/:gsrn",
      readable(
        Effect.gen(function* () {
          const { gsrn = "" } = yield* HttpRouter.params
          const order = yield* Effect.flatMap(body, decodeOrder)
          return HttpServerResponse.jsonUnsafe(pointJson(yield* changePoint(parts, gsrn, order)))
        })
      )
    ),
    HttpRouter.add(
      "GET",
      "/simulator/points",
      readable(
        Effect.gen(function* () {
          const { offset, limit } = yield* HttpServerRequest.schemaSearchParams(Page)
          const end = Math.min(offset + limit, parts.world.points)
          const indices = Array.from({ length: Math.max(0, end - offset) }, (_, i) => offset + i)
          const points = yield* Effect.forEach(indices, (index) => pointAt(parts, index))
          return HttpServerResponse.jsonUnsafe({
            items: points.map(pointJson),
            total: parts.world.points,
            next_offset: end < parts.world.points ? end : null
          })
        })
      )
    ),
    HttpRouter.add(
      "POST",
      "/simulator/reset",
      Effect.as(resetAll(parts, initial), HttpServerResponse.empty({ status: 204 }))
    )
  )
}

const decodeOrder = Schema.decodeUnknownEffect(ChangeOrder, { onExcessProperty: "error" })

const Whole = Schema.FiniteFromString.check(Schema.isInt())
const Page = Schema.Struct({
  offset: Whole.check(Schema.isGreaterThanOrEqualTo(0)).pipe(Schema.withDecodingDefaultKey(Effect.succeed("0"))),
  limit: Whole.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("100"))
  )
})

const pointJson = ({ gsrn, lookupEndUser, state }: SimulatedPoint): object => ({
  gsrn,
  end_user: lookupEndUser ?? null,
  timelines:
    state === undefined
      ? null
      : perTimeline((name) =>
          state.timelines[name].map(({ value, from, to }) => ({
            value,
            valid_from: formatOslo(from),
            valid_to: to === null ? null : formatOslo(to)
          }))
        ),
  location: state?.location ?? null
})

/** What is wrong with a request to the control surface, as a problem that says so. */
const readable = <E extends { readonly _tag: string; readonly message: string }, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  handler.pipe(
    Effect.catch((error) =>
      Effect.succeed(
        error._tag === "NoSuchPoint"
          ? problem(404, "There is no such accounting point")
          : error._tag === "NothingAnnounced"
            ? problem(409, "Nothing is announced on this timeline")
            : problem(400, `The request cannot be read: ${error.message}`)
      )
    )
  )
