/**
 * What the embedded topics let go of, as Kafka does by `cleanup.policy`: records that are older than they are kept (`delete`), and
 * records whose key has a newer one (`compact`).
 *
 * A record goes only once every group of its topic has read it, and the one that is to read it has. Offsets never change, so
 * what goes leaves a gap. A step is a transaction on one partition, by primary keys; a partition of which somebody else holds a row is
 * passed over while another has something to do.
 *
 * Plans: see `topicRetentionStatements.ts`.
 */
import { Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"
import type { Removal, Retained } from "../../src/running/retentionRounds.ts"
import { brief, isLockTimeout } from "../postgres/heldRows.ts"
import { mapSqlFailure, sqlDefectsToFailures } from "../postgres/sqlFailures.ts"
import { unhurried } from "../postgres/unhurried.ts"
import { topicRetentionStatements } from "./topicRetentionStatements.ts"

export interface TopicRetention {
  readonly topic: string
  /** The group that must have read a record before it may go, whether it ever read or not; none where nobody is to read. */
  readonly reader: string | undefined
  /** How long records are kept; for ever if not given. */
  readonly keep: Duration.Duration | undefined
  /** How old a record is when it may go for a newer one of its key; not compacted if not given. */
  readonly compactAfter: Duration.Duration | undefined
}

/** As Kafka's `delete.retention.ms`: who reads from the beginning has so long to see that a key is gone. */
const tombstonesKept = Duration.hours(24)

const plain = mapSqlFailure((cause) => new StoreUnavailable({ cause }))
const nothing: Removal = { removed: 0, isMore: false }
/** In seconds; a step is some 30 ms. */
const patience = 10

type Steps = ReturnType<typeof topicRetentionStatements>
type Step = (partition: number) => ReturnType<Steps["expire"]>

const retained = (
  sql: SqlClient.SqlClient,
  { isMine }: Steps,
  what: string,
  find: Steps["findExpired"],
  step: Step
): Retained => {
  const partitions = find.pipe(unhurried(sql, patience, brief))
  // The lock is of the transaction: one that hangs is ended by the server, and its lock with it.
  const attempt = (partition: number) =>
    Effect.gen(function* () {
      return (yield* isMine) ? yield* step(partition) : undefined
    }).pipe(unhurried(sql, patience, brief), sqlDefectsToFailures)

  return {
    what,
    removeSome: Effect.gen(function* () {
      const found = yield* partitions
      for (const [index, { partition }] of found.entries()) {
        const last = index === found.length - 1
        const removed = yield* attempt(partition).pipe(
          // Somebody else holds a row of it: the others get on meanwhile.
          Effect.catchIf(
            (error) => isLockTimeout(error) && !last,
            () => Effect.succeed("held" as const)
          )
        )
        if (removed === "held") continue
        if (removed === undefined) return nothing
        return { removed: removed.removed, isMore: removed.passed > 0 }
      }
      return nothing
    }).pipe(plain)
  }
}

/** What the topic lets go of; nothing where it keeps all for ever. */
export const PgTopicRetention = (
  rule: TopicRetention
): Effect.Effect<ReadonlyArray<Retained>, never, SqlClient.SqlClient> =>
  SqlClient.SqlClient.useSync((sql) => {
    const { compactAfter, keep, topic } = rule
    const steps = topicRetentionStatements(sql, rule.topic, rule.reader, {
      keep: keep === undefined ? undefined : Duration.toSeconds(keep),
      compactAfter: compactAfter === undefined ? undefined : Duration.toSeconds(compactAfter),
      tombstones: Duration.toSeconds(tombstonesKept)
    })
    return [
      ...(keep === undefined ? [] : [retained(sql, steps, topic, steps.findExpired, steps.expire)]),
      ...(compactAfter === undefined
        ? []
        : [
            retained(sql, steps, topic, steps.findDirty, steps.compact),
            retained(sql, steps, topic, steps.findForgotten, steps.forget)
          ])
    ]
  })
