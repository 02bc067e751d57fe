/**
 * Answers requests about accounting points: hands the programs what they need, and turns their failures into problems.
 *
 * The only place of flow 1 that turns failures into HTTP statuses (`Problems.ts` has the numbers); whether an older copy answers instead
 * is decided in `Lookup.ts`. Nobody may cache the answer to a lookup.
 */
import { Cause, Effect, Layer } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { SqlError } from "effect/sql"
import type { ControllableUnitId, EndUserClaim, Gsrn } from "../domain/Identifiers.ts"
import { sayOnce } from "../running/sayOnce.ts"
import { noteEvents, showEvents } from "./eventMetrics.ts"
import { describe } from "../running/describe.ts"
import { fromCloudEvent, fromPlainEvent, tooFarAhead, type CloudEvent, type PlainEvent } from "../domain/ThinEvent.ts"
import type { AdapterClient, AdapterFailure } from "../sync/AdapterClient.ts"
import { EventInbox } from "../sync/EventInbox.ts"
import { AccountingPointCopies } from "../lookup/AccountingPointCopies.ts"
import { type LookupResponse, present } from "./AccountingPointApi.ts"
import { Api } from "./Api.ts"
import { Authorization, CallerName } from "./ApiKeys.ts"
import { builtWith } from "./builtWith.ts"
import { tooSlow } from "./InTime.ts"
import { ControllableUnits } from "../lookup/ControllableUnits.ts"
import { Lookup, type AccountingPointNotFound, type LookupAnswer } from "../lookup/Lookup.ts"
import type { LookupSubject } from "../lookup/LookupStore.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { noteAction } from "./noteAction.ts"
import { Validation } from "./Malformed.ts"
import { refuse } from "./Problems.ts"
import { registerUnit } from "../lookup/registerUnit.ts"
import type { SharedRefresh } from "../lookup/SharedRefresh.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"

const isLockTimeout = (cause: unknown): boolean =>
  SqlError.isSqlError(cause) && cause.reason._tag === "LockTimeoutError"

/** The database is down or overloaded, or another session holds a row; the caller loses nothing by asking again. */
export const storeUnavailable = (error: StoreUnavailable) =>
  isLockTimeout(error.cause)
    ? refuse("database-unavailable", "somebody else is changing this at the moment", { "retry-after": 1 })
    : Effect.andThen(
        sayOnce(
          "http: database",
          Effect.logWarning("http: the database could not be used", describe(Cause.fail(error)))
        ),
        refuse("database-unavailable", "the database cannot be used at this moment", { "retry-after": 5 })
      )

const beingSynced = () => refuse("being-synced", "the accounting point is being synced elsewhere", { "retry-after": 1 })

const notFoundDetails = {
  unknown: "neither here nor at the adapter is this accounting point known",
  withdrawn: "the adapter does not know this accounting point any more, and the copy here is too old",
  no_adapter: "this accounting point is not here, and no adapter is configured that could be asked"
}
const notFound = ({ reason }: AccountingPointNotFound) => refuse("accounting-point-unknown", notFoundDetails[reason])

const adapterDetails = {
  unavailable: "the adapter cannot be reached or reports an error of its own",
  deadline: "the adapter gave no complete answer in time",
  invalid: "the adapter gave an answer that cannot be used",
  refused: "the adapter refused the request",
  paused: "the adapter is not asked for a while, since its budget is spent",
  not_configured: "no adapter is configured"
}
const adapterFailed = ({ kind, retryAfter }: AdapterFailure) => {
  const headers = { "retry-after": Math.max(1, Math.ceil(retryAfter ?? 10)) }
  return kind === "deadline"
    ? refuse("adapter-deadline", adapterDetails[kind], headers)
    : refuse("adapter-unusable", adapterDetails[kind], headers)
}

const wantsFresh = (request: HttpServerRequest.HttpServerRequest): boolean =>
  (request.headers["cache-control"] ?? "")
    .toLowerCase()
    .split(",")
    .some((directive) => directive.trim() === "no-cache")

const subjectOf = (gsrn: Gsrn | undefined, unit: ControllableUnitId | undefined): LookupSubject | undefined =>
  gsrn !== undefined ? { accountingPoint: gsrn } : unit !== undefined ? { controllableUnit: unit } : undefined

/** Made whole here, with a body of the declared type: encoding body and headers by their schemas would change nothing in them. */
const lookupResponse = ({ accountingPoint, age, endUserId, stale, units }: LookupAnswer) => {
  const body: typeof LookupResponse.Type = {
    accounting_point: { id: accountingPoint.id, business_id: accountingPoint.gsrn },
    end_user: { id: endUserId },
    controllable_units: units,
    ...(stale ? { stale: true as const } : {})
  }
  return HttpServerResponse.jsonUnsafe(body, {
    headers: { "cache-control": "no-store", ...(stale && age !== undefined ? { age: String(Math.floor(age)) } : {}) }
  })
}

const lookup = HttpApiBuilder.group(
  Api,
  "lookup",
  Effect.fnUntraced(function* (handlers) {
    const lookups = yield* Lookup
    return handlers.handle(
      "ask",
      Effect.fnUntraced(
        function* ({ payload, request }) {
          const subject = subjectOf(present(payload.accounting_point), present(payload.controllable_unit))
          if (subject === undefined) return yield* Effect.die(new Error("a lookup without a subject passed its schema"))
          const claim: EndUserClaim = payload.end_user
          const caller = yield* CallerName
          return lookupResponse(yield* lookups.ask({ caller, claim, subject, forceRefresh: wantsFresh(request) }))
        },
        Effect.catchTags({
          ControllableUnitUnknown: () =>
            refuse("controllable-unit-unknown", "no controllable unit has this id, or it is terminated"),
          AccountingPointNotFound: notFound,
          EndUserMismatch: ({ age }) =>
            refuse(
              "end-user-mismatch",
              "this is not the end user of the accounting point now",
              age === undefined ? {} : { age: Math.floor(age) }
            ),
          TooManyMismatches: ({ retryAfter }) =>
            refuse("too-many-mismatches", "too many wrong end users for this accounting point within an hour", {
              "retry-after": Math.max(1, Math.ceil(retryAfter))
            }),
          AdapterFailure: adapterFailed,
          LockTimeout: beingSynced,
          LookupTooSlow: tooSlow,
          StoreUnavailable: storeUnavailable
        })
      )
    )
  })
).pipe(builtWith(Lookup, Authorization, KnownQuery, Validation))

type AnyEvent = typeof PlainEvent.Type | typeof CloudEvent.Type
const thinEvent = (event: AnyEvent) => ("subject" in event ? fromCloudEvent(event) : fromPlainEvent(event))

const events = HttpApiBuilder.group(
  Api,
  "events",
  Effect.fnUntraced(function* (handlers) {
    yield* showEvents("http")
    const inbox = yield* EventInbox
    return handlers.handle(
      "record",
      Effect.fnUntraced(
        function* ({ payload }) {
          const batch: ReadonlyArray<AnyEvent> = Array.isArray(payload) ? payload : [payload]
          const told = batch.map(thinEvent)
          return yield* Effect.tap(inbox.record(told), (receipt) => noteEvents("http", receipt))
        },
        Effect.catchTags({
          EventsInFuture: ({ places: [first = 0] }) => refuse("malformed-request", `[${first}]: ${tooFarAhead}`),
          LockTimeout: beingSynced,
          StoreUnavailable: storeUnavailable
        })
      )
    )
  })
)

/** Whether an `If-None-Match` header names the tag; weak tags count, as they do for reading. */
const namesTag = (header: string | undefined, etag: string): boolean =>
  header !== undefined &&
  header.split(",").some((one) => {
    const tag = one.trim()
    return tag === "*" || tag === etag || tag === `W/${etag}`
  })

const copies = HttpApiBuilder.group(
  Api,
  "accountingPoints",
  Effect.fnUntraced(function* (handlers) {
    const store = yield* AccountingPointCopies
    return handlers.handle(
      "read",
      Effect.fnUntraced(
        function* ({ headers, params }) {
          const found = yield* store.find(params.gsrn)
          if (found === undefined) return yield* refuse("accounting-point-unknown", "this accounting point is not here")
          const { copy, etag } = found
          const told = { etag, "cache-control": "private, no-cache" }
          return namesTag(headers["if-none-match"], etag)
            ? HttpServerResponse.empty({ status: 304, headers: told })
            : HttpApiSchema.withHeaders({ body: copy, headers: told })
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    )
  })
)

const units = HttpApiBuilder.group(
  Api,
  "controllableUnits",
  Effect.fnUntraced(function* (handlers) {
    const store = yield* ControllableUnits
    const services = yield* Effect.context<ControllableUnits | SharedRefresh | AdapterClient>()
    return handlers.handleAll({
      put: Effect.fnUntraced(
        function* ({ params, payload }) {
          const { created, unit } = yield* Effect.provideContext(registerUnit(params.business_id, payload), services)
          yield* noteAction(`a controllable unit was ${created ? "created" : "replaced"}`, { unit: unit.business_id })
          return HttpServerResponse.jsonUnsafe(unit, { status: created ? 201 : 200 })
        },
        Effect.catchTags({
          AccountingPointNotFound: notFound,
          AdapterFailure: adapterFailed,
          LockTimeout: beingSynced,
          StoreUnavailable: storeUnavailable
        })
      ),
      terminate: Effect.fnUntraced(
        function* ({ params }) {
          if (!(yield* store.terminate(params.business_id))) {
            return yield* refuse("controllable-unit-unknown", "no controllable unit has this id")
          }
          yield* noteAction("a controllable unit was terminated", { unit: params.business_id })
        },
        Effect.catchTag("StoreUnavailable", storeUnavailable)
      )
    })
  })
)

export const AccountingPointHandlers = Layer.mergeAll(lookup, events, copies, units)
