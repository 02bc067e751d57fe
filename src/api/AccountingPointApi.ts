/**
 * Accounting points over HTTP: lookups, events, the kept copy, and the registration of controllable units.
 *
 * Shapes and statuses only. Each group needs a key of one scope (`RequiredScope`). Empty strings and nulls count as absent
 * in a lookup, since that is what forms send.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { UnitRegistration } from "../domain/ControllableUnit.ts"
import { ControllableUnitId, EndUserClaim, Gsrn } from "../domain/Identifiers.ts"
import { CloudEvent, PlainEvent } from "../domain/ThinEvent.ts"
import { AccountingPointCopy } from "../lookup/AccountingPointCopies.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { InTime } from "./InTime.ts"
import { RegisteredUnit } from "../lookup/ControllableUnits.ts"
import { storable } from "./Malformed.ts"
import { eventPath } from "./plainRequest.ts"
import { bodyProblems, problems } from "./Problems.ts"

const Absent = Schema.Literal("")

/** The value of a field, where an empty one counts as absent. */
export const present = <A extends string>(value: A | "" | null | undefined): A | undefined =>
  value === "" || value === null ? undefined : value

export const LookupRequest = Schema.Struct({
  end_user: EndUserClaim,
  accounting_point: Schema.optionalKey(Schema.NullOr(Schema.Union([Gsrn, Absent]))),
  controllable_unit: Schema.optionalKey(Schema.NullOr(Schema.Union([ControllableUnitId, Absent])))
}).check(
  Schema.makeFilter(
    (request) =>
      (present(request.accounting_point) === undefined) !== (present(request.controllable_unit) === undefined) ||
      "must name exactly one of accounting_point and controllable_unit"
  )
)

export const LookupResponse = Schema.Struct({
  accounting_point: Schema.Struct({ id: Schema.Int, business_id: Schema.String }),
  end_user: Schema.Struct({ id: Schema.Int }),
  controllable_units: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      business_id: Schema.String,
      name: Schema.String,
      technical_resources: Schema.Array(Schema.Struct({ id: Schema.Int, name: Schema.String }))
    })
  ),
  stale: Schema.optionalKey(Schema.Literal(true))
})

const lookup = HttpApiGroup.make("lookup")
  .add(
    HttpApiEndpoint.post("ask", "/controllable_unit/lookup", {
      payload: LookupRequest,
      success: HttpApiSchema.WithHeaders(LookupResponse, {
        "cache-control": Schema.String,
        age: Schema.optionalKey(Schema.Int)
      }),
      error: [problems[403], problems[404], ...bodyProblems, problems[429], problems[502], problems[503], problems[504]]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Find the controllable units of an accounting point, or check one",
        description:
          "Answers when the end user is the one valid now. `Cache-Control: no-cache` forces a fresh fetch. A stale answer " +
          "says so, with its age in seconds in the `Age` header."
      })
    )
  )
  .annotate(RequiredScope, ["lookup"])
  .middleware(KnownQuery)
  .middleware(Authorization)

const batchOf = <S extends Schema.Top>(event: S) =>
  Schema.Array(event).check(Schema.isMaxLength(1_000, { message: "must hold at most 1000 events" }))

const events = HttpApiGroup.make("events")
  .add(
    HttpApiEndpoint.post("record", eventPath, {
      payload: [
        Schema.Union([PlainEvent, batchOf(PlainEvent)]),
        CloudEvent.pipe(HttpApiSchema.asJson({ contentType: "application/cloudevents+json" })),
        batchOf(CloudEvent).pipe(HttpApiSchema.asJson({ contentType: "application/cloudevents-batch+json" }))
      ],
      success: Schema.Struct({
        received: Schema.Int,
        recorded: Schema.Int,
        stale: Schema.Int,
        unknown: Schema.Int
      }),
      error: [...bodyProblems, problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Tell that accounting points changed",
        description:
          "One event or up to 1000, plain or as CloudEvents 1.0, whose attributes may also come as headers (`ce-subject`, `ce-time` and " +
          "so on: binary mode). All are recorded, or none. Bodies may be compressed with gzip, deflate or br."
      })
    )
  )
  .annotate(RequiredScope, ["event"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const copies = HttpApiGroup.make("accountingPoints")
  .add(
    HttpApiEndpoint.get("read", "/accounting_point/:gsrn", {
      params: { gsrn: Gsrn },
      headers: { "if-none-match": Schema.optionalKey(Schema.String) },
      success: [
        HttpApiSchema.WithHeaders(AccountingPointCopy, { etag: Schema.String, "cache-control": Schema.String }),
        HttpApiSchema.WithHeaders(HttpApiSchema.Empty(304), { etag: Schema.String, "cache-control": Schema.String })
      ],
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({ summary: "Read the kept copy of an accounting point and how its sync goes" })
    )
  )
  .annotate(RequiredScope, ["read"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const units = HttpApiGroup.make("controllableUnits")
  .add(
    HttpApiEndpoint.put("put", "/controllable_unit/:business_id", {
      params: { business_id: ControllableUnitId },
      payload: UnitRegistration.check(storable),
      success: [RegisteredUnit, RegisteredUnit.pipe(HttpApiSchema.status(201))],
      error: [problems[404], ...bodyProblems, problems[502], problems[503], problems[504]]
    }).annotateMerge(
      OpenApi.annotations({
        summary: "Create or replace a controllable unit",
        description:
          "Technical resources are replaced when they are given, and those with a name given again keep their ids. An " +
          "accounting point not yet here is fetched."
      })
    ),
    HttpApiEndpoint.delete("terminate", "/controllable_unit/:business_id", {
      params: { business_id: ControllableUnitId },
      error: [problems[404], problems[503]]
    }).annotateMerge(OpenApi.annotations({ summary: "Terminate a controllable unit" }))
  )
  .annotate(RequiredScope, ["admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

export const accountingPointGroups = [lookup, events, copies, units] as const
