/**
 * Lookups in PostgreSQL: one statement for a local answer with the trail it leaves, one for the trail of those that had to
 * ask the source, each for as many lookups as are waiting for it. One by one, most of the time went to planning, messages
 * and commits: 7,000 copies or 2,400 entries a second, where 32 that wait together get 20,000.
 *
 * A statement waits for no row. An entry of the trail refers to its accounting point and end user: where another session holds
 * one of these, that lookup alone is tried again for a second. A sync row is skipped while it is locked and marked right
 * afterwards. `last_lookup_at` moves at most once a minute, so that a busy accounting point leaves no dead rows behind.
 */
import { Array, Cause, Clock, Effect, Fiber, FiberMap, Layer, Option, Redacted, Schema } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { type LookupCopy, type LookupRecord, LookupStore, type Settlement } from "../../src/lookup/LookupStore.ts"
import { batched } from "../../src/running/batched.ts"
import { type ControllableUnitId, Gsrn } from "../../src/domain/Identifiers.ts"
import type { Instant } from "../../src/domain/Instant.ts"
import { claimPattern } from "../../src/domain/endUserMatch.ts"
import { sayOnce } from "../../src/running/sayOnce.ts"
import { describe } from "../../src/running/describe.ts"
import { onceFree } from "../postgres/heldRows.ts"
import { readEach, type Unreadable } from "../postgres/readableRows.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { type LockTimeout, StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import { lookupStatements } from "./lookupStatements.ts"

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))

/** The most lookups of one statement. Those that come while one is under way make up the next one, so this is for floods only. */
const maxSize = 256
/** The most statements of a kind under way, where the one before is slow: each takes one of the pool's 10 connections. */
const runsAtOnce = 4

const late = () => new StoreUnavailable({ cause: new Error("no answer in time") })
/** A lookup waits no longer for its turn and its answer together, and no longer than it says itself. */
const patience = { duration: "8 seconds", orElse: late } as const
const ownPatience = { ...patience, until: ({ until }: Asked<unknown>) => until }

/** Such as an accounting point that was purged just then, or a purge that was waited for crosswise. */
const mayBeOfOne = ({ cause }: StoreUnavailable) =>
  SqlError.isSqlError(cause) && (cause.reason._tag === "ConstraintError" || cause.reason._tag === "DeadlockError")

/** How a statement fails, once for all who share it. */
const asStore = <A>(statement: Effect.Effect<A, SqlError.SqlError | Schema.SchemaError>) =>
  plain(Effect.catchTag(statement, "SchemaError", Effect.die))

interface Asked<Subject> {
  readonly subject: Subject
  readonly caller: string
  readonly settlement: Settlement | undefined
  readonly until: Instant | undefined
}

/** What is asked, field by field. Without a settlement the greatest age is null, which no copy is younger than. */
const columnsOf = (asked: ReadonlyArray<Asked<string>>) => ({
  subjects: asked.map(({ subject }) => subject),
  callers: asked.map(({ caller }) => caller),
  patterns: asked.map(({ settlement }) => (settlement === undefined ? "" : claimPattern(settlement.claim))),
  maxAges: asked.map(({ settlement }) => settlement?.maxAge ?? null)
})

const CopyRow = Schema.Struct({
  place: Schema.Int,
  accounting_point_id: Schema.Int,
  gsrn: Gsrn,
  age: Schema.NullOr(Schema.Finite),
  pending_event: Schema.Boolean,
  end_user_id: Schema.NullOr(Schema.Int),
  end_user: Schema.NullOr(Schema.String),
  units: Schema.Array(
    Schema.Struct({
      id: Schema.Int,
      business_id: Schema.String,
      name: Schema.String,
      technical_resources: Schema.Array(Schema.Struct({ id: Schema.Int, name: Schema.String }))
    })
  ),
  blocked_for: Schema.NullOr(Schema.Finite),
  outcome: Schema.NullOr(Schema.Literals(["match", "mismatch"])),
  skipped: Schema.Boolean,
  held: Schema.Boolean
})
/** Of any row, also of one that cannot be read. */
const PlaceOf = Schema.Struct({ place: Schema.Int })

const copyFrom = (row: typeof CopyRow.Type): LookupCopy => ({
  accountingPointId: row.accounting_point_id,
  gsrn: row.gsrn,
  age: row.age ?? undefined,
  pendingEvent: row.pending_event,
  endUser:
    row.end_user_id === null || row.end_user === null
      ? undefined
      : { id: row.end_user_id, number: Redacted.make(row.end_user) },
  units: row.units,
  blockedFor: row.blocked_for ?? undefined,
  settled: row.outcome ?? undefined
})

/**
 * What became of one lookup of a statement; nothing of it is recorded when another session `held` a row that its entry refers
 * to.
 */
interface Found {
  readonly copy: LookupCopy
  /** Its row was locked, and is to be marked as looked up later. */
  readonly skipped: boolean
  readonly held: boolean
}

const readCopies = readEach("lookups", CopyRow)
const placeOf = Schema.decodeUnknownEffect(PlaceOf)

/** The row of each lookup, in the order of asking. A row that cannot be read fails its own lookup and no other. */
const inPlace = Effect.fnUntraced(function* (count: number, rows: ReadonlyArray<unknown>) {
  const found = Array.makeBy(count, (): Found | Unreadable | undefined => undefined)
  const { readable, unreadable } = yield* readCopies(rows)
  for (const row of readable) found[row.place - 1] = { copy: copyFrom(row), skipped: row.skipped, held: row.held }
  for (const one of unreadable) found[(yield* placeOf(one.row)).place - 1] = one
  return found
})

const isOfOther = (found: { readonly held: boolean } | undefined): boolean => found?.held === true

export const PgLookupStore = Layer.effect(
  LookupStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { copiesOfPoints, copiesOfUnits, mark, recordRows } = lookupStatements(sql)

    const marking = yield* FiberMap.make<number, void, never>()
    const forkMarking = yield* FiberMap.runtime(marking)<never>()
    /**
     * For a row that was locked just then, once for all callers that wait; one that stays locked for a second is marked by the
     * next lookup.
     */
    const markLater = (accountingPointId: number) =>
      Effect.suspend(() =>
        Fiber.join(
          Option.getOrElse(FiberMap.getUnsafe(marking, accountingPointId), () =>
            forkMarking(
              accountingPointId,
              onceFree(plain(mark(accountingPointId)), (done) => !done).pipe(
                Effect.asVoid,
                Effect.catchTags({ LockTimeout: warnUnmarked, StoreUnavailable: warnUnmarked })
              )
            )
          )
        )
      )

    const findPoints = yield* batched({
      name: "LookupStore.findPoints",
      maxSize,
      runsAtOnce,
      patience: ownPatience,
      mayBeOfOne,
      run: (asked: Array.NonEmptyReadonlyArray<Asked<Gsrn>>) =>
        copiesOfPoints(columnsOf(asked)).pipe(
          Effect.flatMap((rows) => inPlace(asked.length, rows)),
          asStore
        )
    })
    const findUnits = yield* batched({
      name: "LookupStore.findUnits",
      maxSize,
      runsAtOnce,
      patience: ownPatience,
      mayBeOfOne,
      run: (asked: Array.NonEmptyReadonlyArray<Asked<ControllableUnitId>>) =>
        copiesOfUnits(columnsOf(asked)).pipe(
          Effect.flatMap((rows) => inPlace(asked.length, rows)),
          asStore
        )
    })
    const record = yield* batched({
      name: "LookupStore.record",
      maxSize,
      runsAtOnce,
      patience,
      mayBeOfOne,
      run: (records: Array.NonEmptyReadonlyArray<LookupRecord>) =>
        recordRows({
          callers: records.map(({ caller }) => caller),
          points: records.map(({ accountingPointId }) => accountingPointId),
          endUsers: records.map(({ endUserId }) => endUserId ?? null),
          outcomes: records.map(({ outcome }) => outcome)
        }).pipe(asStore)
    })

    const isFound = (found: Found | Unreadable | undefined): Effect.Effect<Found | undefined, StoreUnavailable> =>
      found === undefined || "copy" in found
        ? Effect.succeed(found)
        : Effect.fail(new StoreUnavailable({ cause: found }))

    return LookupStore.of({
      find: (subject, caller, settlement, until) =>
        onceFree(
          Effect.flatMap(
            "accountingPoint" in subject
              ? findPoints({ subject: subject.accountingPoint, caller, settlement, until })
              : findUnits({ subject: subject.controllableUnit, caller, settlement, until }),
            isFound
          ),
          isOfOther
        ).pipe(
          Effect.flatMap((found) =>
            found?.skipped === true
              ? Effect.as(noLaterThan(markLater(found.copy.accountingPointId), until), found.copy)
              : Effect.succeed(found?.copy)
          )
        ),
      record: (one) =>
        Effect.flatMap(onceFree(record(one), isOfOther), ({ blocked_for, skipped }) =>
          Effect.as(skipped ? markLater(one.accountingPointId) : Effect.void, blocked_for ?? undefined)
        )
    })
  })
)

/** What need not be waited for to its end, and hardly ever is: a timer for each lookup would cost more than it. */
const noLaterThan = <E, R>(effect: Effect.Effect<void, E, R>, until: Instant | undefined) =>
  until === undefined
    ? effect
    : Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.timeoutOption(effect, Math.max(0, until - now)))

const warnUnmarked = (error: LockTimeout | StoreUnavailable) =>
  sayOnce(
    "lookup: not marked",
    Effect.logWarning("lookup: an accounting point could not be marked as relevant", describe(Cause.fail(error)))
  )
