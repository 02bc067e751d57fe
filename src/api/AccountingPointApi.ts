/**
 * Accounting points over HTTP: lookups, events, the kept copy, and the registration of controllable units.
 *
 * Shapes and statuses only. Each group needs a key of one scope (`RequiredScope`). Empty strings and nulls count as absent
 * in a lookup, since that is what forms send.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { anotherExampleGsrn, exampleClaim, exampleGsrn, exampleUnit } from "../domain/ExampleNumbers.ts"
import { UnitRegistration } from "../domain/ControllableUnit.ts"
import { ControllableUnitId, EndUserClaim, Gsrn } from "../domain/Identifiers.ts"
import { CloudEvent, PlainEvent } from "../domain/ThinEvent.ts"
import { AccountingPointCopy } from "../lookup/AccountingPointCopies.ts"
import { Authorization, RequiredScope } from "./ApiKeys.ts"
import { KnownQuery } from "./KnownQuery.ts"
import { InTime, KeepsTime } from "./InTime.ts"
import { RegisteredUnit, TechnicalResource } from "../lookup/ControllableUnits.ts"
import { storable } from "./Malformed.ts"
import { eventPath } from "./plainRequest.ts"
import { BodyExamples } from "./OpenApiDocument.ts"
import { bodyProblems, problems } from "./Problems.ts"

const Absent = Schema.Literal("")

/** The value of a field, where an empty one counts as absent. */
export const present = <A extends string>(value: A | "" | null | undefined): A | undefined =>
  value === "" || value === null ? undefined : value

export const LookupRequest = Schema.Struct({
  end_user: EndUserClaim,
  accounting_point: Schema.optionalKey(Schema.NullOr(Schema.Union([Gsrn, Absent]))),
  controllable_unit: Schema.optionalKey(Schema.NullOr(Schema.Union([ControllableUnitId, Absent])))
})
  .annotate({
    description:
      "The end user, and exactly one of accounting point and controllable unit; an empty text and null count as absent."
  })
  .check(
    Schema.makeFilter(
      (request) =>
        (present(request.accounting_point) === undefined) !== (present(request.controllable_unit) === undefined) ||
        "must name exactly one of accounting_point and controllable_unit"
    )
  )
  .annotate({ identifier: "LookupRequest" })

export const LookupResponse = Schema.Struct({
  accounting_point: Schema.Struct({ id: Schema.Int, business_id: Schema.String }),
  end_user: Schema.Struct({ id: Schema.Int }),
  controllable_units: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      business_id: Schema.String,
      name: Schema.String,
      technical_resources: Schema.Array(TechnicalResource)
    })
  ),
  stale: Schema.optionalKey(Schema.Literal(true)).annotate({
    description: "The copy could not be refreshed; how old it is stands in the `Age` header."
  })
}).annotate({
  identifier: "LookupResponse",
  description:
    "The end user is the one valid now. By controllable unit that one, by accounting point all that are not terminated."
})

const lookup = HttpApiGroup.make("lookup")
  .annotateMerge(
    OpenApi.annotations({
      title: "Lookup",
      description: "Who may know asks for the controllable units of an end user."
    })
  )
  .add(
    HttpApiEndpoint.post("ask", "/controllable_unit/lookup", {
      payload: LookupRequest,
      success: HttpApiSchema.WithHeaders(LookupResponse, {
        "cache-control": Schema.String.annotate({ description: "Nobody may keep the answer.", examples: ["no-store"] }),
        age: Schema.optionalKey(
          Schema.Int.annotate({ description: "How many seconds ago the copy was synced, where the answer is stale." })
        )
      }),
      error: [problems[403], problems[404], ...bodyProblems, problems[429], problems[502], problems[503], problems[504]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "lookUp",
          summary: "Find the controllable units of an accounting point, or check one",
          description:
            "Answers when the end user is the one valid now. `Cache-Control: no-cache` forces a fresh fetch. A stale answer " +
            "says so, with its age in seconds in the `Age` header. After 5 wrong end users for one accounting point within an hour: 429."
        })
      )
      .annotate(BodyExamples, {
        "application/json": {
          "By accounting point": { end_user: exampleClaim, accounting_point: exampleGsrn },
          "By controllable unit": { end_user: exampleClaim, controllable_unit: exampleUnit }
        }
      })
  )
  .annotate(RequiredScope, ["lookup"])
  // By `Lookup`, whose callers are most of all.
  .annotate(KeepsTime, true)
  .middleware(KnownQuery)
  .middleware(Authorization)

/** The same within a batch: of two schemas the document would have two names. */
const OneCloudEvent = CloudEvent.pipe(HttpApiSchema.asJson({ contentType: "application/cloudevents+json" }))

const batchOf = <S extends Schema.Top>(identifier: string, event: S) =>
  Schema.Array(event)
    .check(Schema.isMaxLength(1_000, { message: "must hold at most 1000 events" }))
    .annotate({ identifier, description: "Up to 1000 events; where one is malformed, none is recorded." })

const cloudEvent = {
  specversion: "1.0",
  id: "1",
  source: "https://adapter.example",
  type: "accounting_point.changed",
  subject: exampleGsrn,
  time: "2026-01-01T00:00:00Z"
}

const count = (description: string) => Schema.Int.annotate({ description })

const events = HttpApiGroup.make("events")
  .annotateMerge(OpenApi.annotations({ title: "Events", description: "Adapters tell what changed." }))
  .add(
    HttpApiEndpoint.post("record", eventPath, {
      payload: [
        Schema.Union([PlainEvent, batchOf("PlainEvents", PlainEvent)]),
        OneCloudEvent,
        batchOf("CloudEvents", OneCloudEvent).pipe(
          HttpApiSchema.asJson({ contentType: "application/cloudevents-batch+json" })
        )
      ],
      success: Schema.Struct({
        received: count("All that were sent."),
        recorded: count("Newer than what was known: their accounting points are synced at once."),
        stale: count("No newer than what was known."),
        unknown: count("Of accounting points that are not here.")
      }).annotate({ identifier: "EventReceipt", description: "What became of the events." }),
      error: [...bodyProblems, problems[503]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "recordEvents",
          summary: "Tell that accounting points changed",
          description:
            "One event or up to 1000, plain or as CloudEvents 1.0, whose attributes may also come as headers (`ce-subject`, `ce-time` and " +
            "so on: binary mode). Where one is malformed, none is recorded; after a 503 some may be, and sending them again changes nothing. Bodies may be compressed with gzip, deflate or br."
        })
      )
      .annotate(BodyExamples, {
        "application/json": {
          "One event": { gsrn: exampleGsrn, occurred_at: "2026-01-01T00:00:00.123456Z" },
          "Several events": [
            { gsrn: exampleGsrn, occurred_at: "2026-01-01T00:00:00Z" },
            { gsrn: anotherExampleGsrn, occurred_at: "2026-01-01T01:00:00+01:00" }
          ]
        },
        "application/cloudevents+json": { "One event": cloudEvent },
        "application/cloudevents-batch+json": { "Several events": [cloudEvent] }
      })
  )
  .annotate(RequiredScope, ["event"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const copyHeaders = {
  etag: Schema.String.annotate({ description: "Changes whenever the copy does." }),
  "cache-control": Schema.String.annotate({ description: "The reader alone may keep it, and asks each time." })
}

const copies = HttpApiGroup.make("accountingPoints")
  .annotateMerge(OpenApi.annotations({ title: "Accounting points", description: "The kept copies, for readers." }))
  .add(
    HttpApiEndpoint.get("read", "/accounting_point/:gsrn", {
      params: { gsrn: Gsrn },
      headers: {
        "if-none-match": Schema.optionalKey(
          Schema.String.annotate({ description: "The `ETag` of the copy that the reader has.", examples: ['"1"'] })
        )
      },
      success: [
        HttpApiSchema.WithHeaders(AccountingPointCopy, copyHeaders),
        HttpApiSchema.WithHeaders(
          HttpApiSchema.Empty(304).annotate({ description: "The reader has the copy as it is." }),
          copyHeaders
        )
      ],
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "readAccountingPoint",
        summary: "Read the kept copy of an accounting point and how its sync goes"
      })
    )
  )
  .annotate(RequiredScope, ["read"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

const units = HttpApiGroup.make("controllableUnits")
  .annotateMerge(
    OpenApi.annotations({
      title: "Controllable units",
      description: "What makes an accounting point relevant, so that its data may be kept."
    })
  )
  .add(
    HttpApiEndpoint.put("put", "/controllable_unit/:business_id", {
      params: { business_id: ControllableUnitId },
      payload: UnitRegistration.check(storable).annotate({ identifier: "UnitRegistration" }),
      success: [RegisteredUnit, RegisteredUnit.pipe(HttpApiSchema.status(201))],
      error: [problems[404], ...bodyProblems, problems[502], problems[503], problems[504]]
    })
      .annotateMerge(
        OpenApi.annotations({
          identifier: "putControllableUnit",
          summary: "Create or replace a controllable unit",
          description:
            "Technical resources are replaced when they are given, and those with a name given again keep their ids. An " +
            "accounting point not yet here is fetched."
        })
      )
      .annotate(BodyExamples, {
        "application/json": {
          "A unit": {
            accounting_point: exampleGsrn,
            name: "Heat pump",
            start_date: "2026-01-01",
            technical_resources: [{ name: "Heat pump" }]
          }
        }
      }),
    HttpApiEndpoint.delete("terminate", "/controllable_unit/:business_id", {
      params: { business_id: ControllableUnitId },
      success: HttpApiSchema.NoContent.annotate({ description: "It is terminated." }),
      error: [problems[404], problems[503]]
    }).annotateMerge(
      OpenApi.annotations({ identifier: "terminateControllableUnit", summary: "Terminate a controllable unit" })
    )
  )
  .annotate(RequiredScope, ["admin"])
  .middleware(KnownQuery)
  .middleware(InTime)
  .middleware(Authorization)

export const accountingPointGroups = [lookup, events, copies, units] as const
