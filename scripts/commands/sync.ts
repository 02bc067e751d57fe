/**
 * `penstock sync …`: how fresh the copies of accounting points are, and a pass of the background sync on demand.
 *
 * Shows counts, never whose they are. A pass from here takes the share of one instance, as `PENSTOCK_ROLES=sync` would, but
 * all at once and without announcing itself, so that the others keep theirs.
 */
import { Duration, Effect, Layer, Option, Schedule } from "effect"
import { Command, Flag } from "effect/cli"
import { countFailures, readFreshness } from "../../layers/sync/copyCounts.ts"
import { PgAccountingPointStore } from "../../layers/sync/PgAccountingPointStore.ts"
import { readInstances } from "../../layers/sync/PgInstances.ts"
import { PgLockStore } from "../../layers/sync/PgLockStore.ts"
import { Settings } from "../../layers/Settings.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { Instances } from "../../src/sync/Instances.ts"
import { LockStore } from "../../src/sync/LockStore.ts"
import { batchSize } from "../../src/sync/batchSize.ts"
import { SyncScheduler } from "../../src/sync/SyncScheduler.ts"
import { refresh } from "../../src/sync/synchronize.ts"
import { Json } from "./globalFlags.ts"
import { decodeGsrn } from "./gsrnFlag.ts"
import { answer, type Cell, printJson, printTable } from "./output.ts"
import { ProgressBar } from "./ProgressBar.ts"
import { CommandFailed } from "./told.ts"
import { withDatabase } from "./withDatabase.ts"

/** To the second below an hour, else to the minute. */
const span = (seconds: number): string => {
  const whole = seconds < 3_600 ? Math.round(seconds) : Math.round(seconds / 60) * 60
  return whole === 0 ? "less than a second" : Duration.format(Duration.seconds(whole))
}
const since = (what: string, seconds: number | null) => (seconds === null ? "" : `${what} for ${span(seconds)}`)

const status = Command.make(
  "status",
  {},
  Effect.fnUntraced(function* () {
    const within = yield* Settings.SYNC_WITHIN.config
    const fresh = yield* readFreshness(within)
    const failures = yield* countFailures
    const instances = yield* readInstances
    if (yield* Json) {
      const failing = Object.fromEntries(failures.map(({ kind, points }) => [kind, points]))
      return yield* printJson([{ ...fresh, failing, instances }])
    }
    const failing = failures.reduce((sum, { points }) => sum + points, 0)
    const kinds = failures.map(({ kind, points }) => `${points} ${kind}`).join(", ")
    const alive = instances.map(({ roles, running_seconds }) => since(roles.join("+"), running_seconds)).join(", ")
    const rows: ReadonlyArray<ReadonlyArray<Cell>> = [
      ["kept", fresh.kept, "copies of accounting points, relevant or not"],
      ["relevant", fresh.relevant, since("the longest unsynced", fresh.longest_unsynced_seconds)],
      ["never synced", fresh.never_synced, ""],
      ["late", fresh.late, `not synced for over ${Duration.format(within)}`],
      ["pending events", fresh.pending_events, since("the oldest pending", fresh.oldest_pending_seconds)],
      ["running", fresh.running, ""],
      ["failing", failing, kinds],
      ["instances alive", instances.length, alive]
    ]
    yield* printTable(["accounting points", "", ""], rows)
  }, withDatabase)
).pipe(Command.withDescription("Show what is fresh, late, pending and failing, and which instances are alive"))

/** Only what is kept is refreshed: a copy is made for a lookup or a controllable unit, not from here. */
const refreshOne = Effect.fnUntraced(
  function* (gsrn: Gsrn) {
    const { accountingPointId } = yield* LockStore.use((locks) => locks.ticket(gsrn))
    if (accountingPointId === undefined) {
      return yield* new CommandFailed({ message: "No accounting point with this GSRN is kept here." })
    }
    const outcome = yield* refresh(gsrn)
    yield* answer([outcome], { outcome })
  },
  Effect.catchTags({
    AccountingPointUnknown: () =>
      Effect.fail(new CommandFailed({ message: "The adapter does not know this accounting point." })),
    AdapterFailure: ({ detail, kind }) =>
      Effect.fail(new CommandFailed({ message: `The adapter could not be used (${kind}): ${detail}` })),
    LockTimeout: () =>
      Effect.fail(new CommandFailed({ message: "Somebody else is writing this accounting point. Try again." }))
  })
)

/** With the HTTP client, which is loaded for this alone. */
const Adapter = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("../../layers/sync/BudgetedAdapter.ts")),
    ({ BudgetedAdapter }) => BudgetedAdapter
  )
)

/** Where the service gives back what its adapter has no slot for, and takes it up later, a command waits for its turn. */
const PatientAdapter = Layer.effect(
  AdapterClient,
  Effect.gen(function* () {
    const { configured, fetch } = yield* AdapterClient
    const { show } = yield* ProgressBar
    let answered = 0
    return AdapterClient.of({
      configured,
      fetch: (gsrn, validFrom) =>
        Effect.retry(fetch(gsrn, validFrom), {
          while: (error) => error._tag === "AdapterFailure" && error.kind === "paused",
          schedule: Schedule.jittered(Schedule.spaced("1 second"))
        }).pipe(Effect.ensuring(Effect.suspend(() => show({ what: "Asks the adapter", done: ++answered }))))
    })
  })
).pipe(Layer.provide(Adapter))

const runPass = Effect.gen(function* () {
  const locks = yield* LockStore
  const interval = yield* Settings.SYNC_INTERVAL.config
  const within = yield* Settings.SYNC_WITHIN.config
  const lookupRetention = yield* Settings.LOOKUP_RETENTION.config
  const relevant = yield* locks.countRelevant(Duration.toSeconds(lookupRetention))
  const syncing = (yield* readInstances).filter(({ roles }) => roles.includes("sync")).length
  const scheduler = SyncScheduler.layer({
    // Nothing is spread over no time.
    interval: Duration.zero,
    within,
    deadAfter: yield* Settings.SYNC_DEAD_AFTER.config,
    batchSize: (yield* Settings.SYNC_BATCH_SIZE.config) ?? batchSize(relevant, { interval, within }, syncing),
    concurrency: yield* Settings.ADAPTER_CONCURRENCY.config,
    lookupRetention
  }).pipe(Layer.provide(Instances.layerMemory))
  const pass = yield* SyncScheduler.use(({ runOnce }) => runOnce).pipe(Effect.provide(scheduler))
  const { changed, claimed, failed, released, superseded, unchanged } = pass
  const text = `${claimed} claimed of ${relevant} relevant: ${changed} changed, ${unchanged} unchanged, ${superseded} superseded, ${failed} failed, ${released} given back`
  yield* answer([text], { relevant, claimed, changed, unchanged, superseded, failed, released })
})

const run = Command.make(
  "run",
  {
    gsrn: Flag.String("gsrn").pipe(
      Flag.withDescription("Only this accounting point, due or not"),
      Flag.withMetavar("GSRN"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ gsrn }) {
    const one = yield* Effect.transposeOption(Option.map(gsrn, decodeGsrn))
    const command = Effect.gen(function* () {
      const { configured } = yield* AdapterClient
      if (!configured) return yield* new CommandFailed({ message: "ADAPTER_URL is not set: there is nobody to ask." })
      yield* Option.match(one, { onNone: () => runPass, onSome: refreshOne })
    })
    yield* withDatabase(Effect.provide(command, Layer.mergeAll(PgLockStore, PgAccountingPointStore, PatientAdapter)))
  })
).pipe(
  Command.withDescription(
    "Sync one batch of accounting points now, or the one that is named; prints what became of them"
  )
)

export const sync = Command.make("sync").pipe(
  Command.withDescription("Copies of accounting points: how fresh they are, and a sync now"),
  Command.withSubcommands([status, run])
)
