/**
 * One generation of a consumer group, as one member sees it: from the assignment of the partitions until they are assigned anew.
 *
 * Each node that leads partitions is asked for what comes next, as long as there is room; each partition's records are
 * handled one batch after the other. Heartbeats go on until the handlers are done: the group waits for them. A partition
 * whose batch cannot be kept for a moment rests alone: nothing of it is held in memory, and it is fetched again later.
 */
import { type Cause, Clock, Deferred, Duration, Effect, FiberSet, Latch, Semaphore } from "effect"
import { type OutgoingRecord, type RecordTooLarge, refuseTooLarge } from "../../src/stream/KafkaSink.ts"
import { isMomentary, makeRests } from "../../src/stream/restingPartitions.ts"
import {
  type ConsumeOptions,
  maxBatchBytes,
  type RecordBatch,
  type Standstill,
  type StandstillReason,
  type TopicRecord
} from "../../src/stream/TopicReader.ts"
import { behind, type FetchedPartition } from "./kafkajsBatches.ts"
import { fetchAll } from "./kafkajsFetch.ts"
import { heartbeat, isExpelled, isRebalance, type Membership } from "./KafkajsGroup.ts"
import { makeLongWait } from "./kafkajsLongWait.ts"
import { throughMoves } from "./kafkajsMoves.ts"
import { ask, type KafkaCluster, KafkaFailure, type KafkaNode } from "./KafkajsProtocol.ts"
import { recordsOf } from "./kafkajsRecords.ts"
import { topicIdOf } from "./kafkajsTopicId.ts"
import { goOn, logRanges, type Position, positionsOf } from "./kafkajsPositions.ts"
import { type SettlingOptions, settlingOf } from "./kafkajsSettling.ts"
import { monotonicMillis } from "../../src/running/monotonicMillis.ts"

export interface GenerationOptions extends SettlingOptions, ConsumeOptions {
  readonly partitionsAtOnce: number
}

/** How long a node waits for records before it answers with none, in milliseconds; also how soon a generation can end. */
const longestWait = 500
/** The same while a partition is left out because its records are still being worked on. */
const shortWait = 20
/** Compressed bytes of one partition in an answer, or one batch: XML is 25 times as large when it is unpacked. */
const partitionBytes = 256_000
/** Characters of values that wait to be handled, of all partitions; nothing more is asked for while there are more. */
const roomForValues = 24_000_000
/** How long the other partitions are read beside one that cannot be, before that one is tried again. */
const standstill = "30 seconds"
/** Most transactions end within a second; others' may be open for 15 minutes, or for ever. In milliseconds. */
const shortTransaction = 10_000
/** What comes so soon after a turn has begun takes part in it: other nodes were asked as well. In milliseconds. */
const openFor = 20
/** How soon added partitions are found. */
const betweenLooks = "3 seconds"
/** How long partitions with a leader are read while others have none, before the generation is given up. In milliseconds. */
const longestElection = 15_000

/** Whether there is enough for a batch; characters are no fewer than a quarter of the bytes, and mostly as many. */
const isFull = ({ queue }: Position, { maxBytes = maxBatchBytes, maxRecords }: GenerationOptions) =>
  queue.length >= maxRecords || queue.reduce((sum, { value }) => sum + value.length, 0) >= maxBytes

/** Takes the next batch off the queue. */
const takeBatch = ({ queue }: Position, { maxBytes = maxBatchBytes, maxRecords }: GenerationOptions) => {
  let bytes = 0
  let count = 0
  for (const { value } of queue) {
    bytes += Buffer.byteLength(value)
    if (count > 0 && (bytes > maxBytes || count === maxRecords)) break
    count++
  }
  return queue.splice(0, count)
}

/**
 * Runs the generation, and tells why it ended. Fails as a handler or the settling of its batch does, once the other handlers are
 * done; when the cluster cannot be asked, at once, and handlers are interrupted.
 */
export const runGeneration = Effect.fnUntraced(function* <E, R>(
  cluster: KafkaCluster,
  options: GenerationOptions,
  membership: Membership,
  handle: (batch: RecordBatch) => Effect.Effect<ReadonlyArray<OutgoingRecord>, E, R>
) {
  const { group, onIdle = Effect.void, onStandstill = () => Effect.void, topic } = options
  const ending = yield* Deferred.make<"rebalance" | "expelled">()
  const beating = heartbeat(options, membership).pipe(
    Effect.catchIf(isRebalance, () => Effect.asVoid(Deferred.succeed(ending, "rebalance"))),
    Effect.catchIf(isExpelled, () => Effect.asVoid(Deferred.succeed(ending, "expelled"))),
    Effect.delay(options.sessionTimeout / 10),
    Effect.forever
  )
  yield* Effect.addFinalizer(() => onStandstill([]))
  // Where somebody's transaction is still to be ended, that takes a while. What settles is closed behind the workers, which it serves.
  const beginning = Effect.gen(function* () {
    const settling = yield* settlingOf(cluster, options, membership)
    const waiting = yield* makeLongWait(options, membership.partitions, shortTransaction)
    const positions = yield* positionsOf(cluster, options, membership, waiting.goesOn)
    yield* waiting.isOver
    return { settling, positions }
  })
  const begun = yield* Effect.raceAllFirst([beginning, beating, Deferred.await(ending)])
  if (typeof begun === "string") return begun
  const { positions, settling } = begun
  const scope = yield* Effect.scope
  const rests = makeRests({ ...options, onStandstill: () => tellStandstill })
  const workers = yield* FiberSet.make<void>()
  const slots = yield* Semaphore.make(options.partitionsAtOnce)
  const drained = yield* Latch.make()
  const failure = yield* Deferred.make<never, E | KafkaFailure | RecordTooLarge>()
  const gather = Duration.toMillis(options.gather ?? 0)
  /** Some partition that gathers has enough. */
  const enough = yield* Latch.make()
  const isEnding = () => Deferred.isDoneUnsafe(ending) || Deferred.isDoneUnsafe(failure)
  let waitingValues = 0

  /** When the last turn began, in milliseconds. Partitions take their batches together where they can, to settle them together. */
  let turnAt = Number.NEGATIVE_INFINITY

  const forget = (records: ReadonlyArray<TopicRecord>) => {
    for (const { value } of records) waitingValues -= value.length
    drained.openUnsafe()
  }

  const discard = (partition: number, failed: KafkaFailure) =>
    Effect.logWarning("a batch was discarded: another instance took its partition over", {
      topic,
      group,
      partition
    }).pipe(Effect.andThen(Deferred.succeed(ending, isRebalance(failed) ? "rebalance" : "expelled")))

  /** How the log that a position reads is called, now and before topics' ids were part of it. */
  const logOf = ({ readsOn, topicId }: Position) => {
    const id = cluster.brokerPool.metadata?.clusterId ?? ""
    if (topicId === undefined) return { log: id }
    return { log: `${id}@${topicId}`, ...(readsOn ? { formerLog: id } : {}) }
  }

  /** Leaves a partition alone for a while; it is fetched again from an offset on. */
  const rest = Effect.fnUntraced(function* (position: Position, from: number, cause: Cause.Cause<unknown>) {
    const millis = yield* rests.begin(position.partition, cause)
    forget(position.queue.splice(0))
    position.fetchAt = from
    position.isResting = true
    const later = Effect.sync(() => void (position.isResting = false))
    yield* Effect.forkIn(Effect.delay(later, millis), scope)
    return undefined
  })

  const workOnce = Effect.fnUntraced(function* (position: Position) {
    if (isEnding()) return
    const records = takeBatch(position, options)
    const now = yield* Clock.currentTimeMillis
    if (now >= turnAt + gather) turnAt = now
    forget(records)
    const outputs =
      records.length === 0
        ? []
        : yield* settling
            .working(handle({ topic, partition: position.partition, records, ...logOf(position) }))
            .pipe(Effect.catchCauseIf(isMomentary, (cause) => rest(position, records[0]!.offset, cause)))
    if (outputs === undefined) return
    yield* refuseTooLarge(outputs)
    // After the last record that was fetched come control records, and records of aborted transactions: the group passes them
    // too, so that nothing seems to be left.
    const next = position.queue[0]?.offset ?? position.fetchAt
    if (next > position.committed) {
      yield* settling.settle({ partition: position.partition, next, outputs })
      position.committed = next
    }
    if (records.length > 0) yield* rests.end(position.partition)
  })
  /** Waits until it is the turn of the batch that comes next, or there is enough. Records go on being fetched meanwhile. */
  const gathered = (position: Position): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const wait = position.turn - now
      if (wait <= 0 || isEnding() || position.isBehind || isFull(position, options)) return Effect.void
      return Effect.andThen(
        Effect.andThen(enough.close, Effect.timeoutOption(enough.await, wait)),
        Effect.suspend(() => gathered(position))
      )
    })
  const work = (position: Position) =>
    Effect.whileLoop({
      // Set in the same step: records that come in a moment later must find either a worker at work or none.
      while: () =>
        (position.working =
          !isEnding() && !position.isResting && (position.queue.length > 0 || position.committed < position.fetchAt)),
      body: () =>
        gather === 0
          ? slots.withPermit(workOnce(position))
          : Effect.andThen(gathered(position), slots.withPermit(workOnce(position))),
      step: () => {}
    }).pipe(
      Effect.catchIf(
        (error) => error instanceof KafkaFailure && (isRebalance(error) || isExpelled(error)),
        (failed) => discard(position.partition, failed as KafkaFailure)
      ),
      // Somebody else's interruption too: a worker that ended by itself would let its partition stand still.
      Effect.catchCause((cause) => Deferred.failCause(failure, cause)),
      Effect.asVoid
    )
  const startWork = (position: Position) => {
    if (position.working || isEnding()) return Effect.void
    position.working = true
    return FiberSet.run(workers, work(position))
  }

  /** Reports the partitions that stand still whenever they change. */
  const tellStandstill = Effect.suspend(() => {
    const unread = [...positions.values()].flatMap(({ partition, still }): ReadonlyArray<Standstill> =>
      still === undefined ? [] : [{ partition, reason: still }]
    )
    const unkept = rests.long().filter(({ partition }) => positions.get(partition)?.still === undefined)
    return onStandstill([...unread, ...unkept])
  })
  const standStill = Effect.fnUntraced(function* (position: Position, reason: StandstillReason, why: string) {
    const wasStill = position.still !== undefined
    position.still = reason
    yield* tellStandstill
    if (position.isTold) return
    position.isTold = true
    position.isLeftOut = reason === "unreadable"
    if (!wasStill) {
      yield* Effect.logError(`a partition stands still: ${why}`, {
        topic,
        group,
        partition: position.partition,
        offset: position.fetchAt
      })
    }
    const later = Effect.sync(() => {
      position.isTold = false
      position.isLeftOut = false
    })
    yield* Effect.forkScoped(Effect.delay(later, standstill))
  })
  const moveOn = Effect.fnUntraced(function* (position: Position) {
    position.lacksSince = undefined
    if (position.still === undefined) return
    position.still = undefined
    yield* Effect.logInfo("a partition goes on", { topic, group, partition: position.partition })
    yield* tellStandstill
  })

  /** There are more records than this member was given: they cannot be read, or are not committed yet. */
  const noteLack = Effect.fnUntraced(function* (position: Position, fetched: FetchedPartition) {
    const { highWatermark, lastStableOffset, unreadable } = fetched
    if (unreadable === undefined && highWatermark <= position.fetchAt) return yield* moveOn(position)
    const now = yield* monotonicMillis
    position.lacksSince ??= now
    if (unreadable !== undefined) {
      return yield* standStill(position, "unreadable", `its next records cannot be read: ${unreadable}`)
    }
    if (now - position.lacksSince < shortTransaction) return
    if (lastStableOffset <= position.fetchAt) {
      return yield* standStill(position, "open_transaction", "a transaction is open for long")
    }
    yield* standStill(position, "not_sent", "the broker sends nothing of it")
  })

  const findPlace = Effect.fnUntraced(function* (position: Position, topicId: string | undefined) {
    const range = (yield* logRanges(cluster, topic, [position.partition])).get(position.partition)!
    if (!(yield* goOn(options, position, range, topicId))) return
    forget(position.queue.splice(0))
    yield* startWork(position)
  })
  /** Of the partitions that a node leads: under this name their offsets are kept. */
  const findLog = Effect.fnUntraced(function* (broker: KafkaNode, own: ReadonlyArray<Position>) {
    const topicId = yield* topicIdOf(broker, topic)
    for (const position of own) {
      if (position.topicId === undefined) position.topicId = topicId
      else if (topicId !== undefined && topicId !== position.topicId) yield* findPlace(position, topicId)
    }
  })

  /** Takes in what a node answered, and answers whether anything moved. */
  const takeIn = Effect.fnUntraced(function* (
    broker: KafkaNode,
    asked: ReadonlyMap<number, number>,
    answer: ReadonlyArray<FetchedPartition>
  ) {
    let any = false
    const now = yield* Clock.currentTimeMillis
    const turn = now - turnAt < openFor ? turnAt : turnAt + gather
    for (const fetched of answer) {
      const position = positions.get(fetched.partition)
      // It went back while the answer was on its way, which has nothing of what is between.
      if (position === undefined || position.isResting || (asked.get(position.partition) ?? 0) > position.fetchAt)
        continue
      if (fetched.isOutOfRange) {
        yield* findPlace(position, yield* topicIdOf(broker, topic))
        continue
      }
      const next = behind(fetched, position.fetchAt)
      if (next === position.fetchAt) {
        yield* noteLack(position, fetched)
        continue
      }
      any = true
      yield* moveOn(position)
      const records = recordsOf(topic, position.fetchAt, fetched)
      position.fetchAt = next
      if (position.queue.length === 0) position.turn = turn
      for (const record of records) {
        waitingValues += record.value.length
        position.queue.push(record)
      }
      position.isBehind = next < fetched.lastStableOffset
      if (position.isBehind || isFull(position, options)) enough.openUnsafe()
      yield* startWork(position)
    }
    return any
  })

  const fetchFrom = Effect.fnUntraced(function* (node: string, led: ReadonlyArray<number>) {
    const broker = yield* ask(() => cluster.findBroker({ nodeId: node }))
    const own = led.flatMap((partition) => positions.get(partition) ?? [])
    yield* findLog(broker, own)
    while (true) {
      if (isEnding()) return yield* Effect.never
      yield* drained.close
      const readable = own.filter(({ isLeftOut, isResting }) => !isLeftOut && !isResting)
      const hasRoom = (position: Position) => (gather === 0 ? position.queue.length === 0 : !isFull(position, options))
      const wanted = waitingValues > roomForValues ? [] : readable.filter(hasRoom)
      if (wanted.length === 0) {
        // The loops for other nodes close the latch as well, perhaps before this one has seen it open.
        yield* Effect.timeoutOption(drained.await, longestWait / 10)
        continue
      }
      // Those who have just been given records take them first.
      yield* Effect.yieldNow
      const askedAt = yield* Clock.currentTimeMillis
      const untilTurn = wanted.some(({ isBehind }) => isBehind) ? 0 : turnAt + gather - askedAt
      const [maxWaitTime, minBytes] =
        wanted.length < readable.length
          ? [shortWait, 1]
          : untilTurn > 0
            ? [Math.min(untilTurn, longestWait), partitionBytes]
            : [longestWait, 1]
      const asked = new Map(wanted.map(({ fetchAt, partition }) => [partition, fetchAt]))
      const answer = yield* fetchAll(broker, wanted, { topic, maxWaitTime, minBytes, partitionBytes })
      silent.delete(node)
      if (yield* takeIn(broker, asked, answer)) continue
      // Where records wait that cannot be received, having nothing to do is no sign of life.
      if (
        silent.size === 0 &&
        !rests.isAny() &&
        [...positions.values()].every(({ lacksSince }) => lacksSince === undefined)
      )
        yield* onIdle
      // An answer that cannot be used comes at once, and would come again at once.
      const waited = (yield* Clock.currentTimeMillis) - askedAt
      if (waited < maxWaitTime / 2) yield* Effect.sleep(shortWait)
    }
  })

  /** Nodes that have not answered since the leaders were last looked up. */
  const silent = new Set<string>()
  const fetching = Effect.gen(function* () {
    const nodes = Object.entries(yield* leadersOf(cluster, topic, [...positions.keys()]))
    silent.clear()
    for (const [node] of nodes) silent.add(node)
    yield* Effect.forEach(nodes, ([node, led]) => fetchFrom(node, led), { concurrency: "unbounded", discard: true })
    // Nothing to read: there are more members than partitions.
    return yield* Effect.forever(Effect.andThen(onIdle, Effect.sleep(longestWait)))
  })

  /** The leader of the group assigns partitions that were added later. */
  const watching = ask(() => cluster.refreshMetadataIfNecessary()).pipe(
    Effect.andThen(
      Effect.suspend(() =>
        cluster.findTopicPartitionMetadata(topic).length === partitionsAtStart
          ? Effect.void
          : Deferred.succeed(ending, "rebalance")
      )
    ),
    Effect.delay(betweenLooks),
    Effect.forever
  )
  const partitionsAtStart = cluster.findTopicPartitionMetadata(topic).length

  const ended = Effect.gen(function* () {
    const end = yield* Deferred.await(ending)
    if (end === "expelled") yield* FiberSet.clear(workers)
    yield* FiberSet.awaitEmpty(workers)
    return end
  })
  const failed = Effect.exit(Deferred.await(failure)).pipe(
    Effect.tap(() => FiberSet.awaitEmpty(workers)),
    Effect.flatten
  )
  const fetchingOn = throughMoves(cluster, longestElection, fetching)
  return yield* Effect.raceAllFirst([ended, failed, fetchingOn, beating, watching])
})

const leadersOf = (cluster: KafkaCluster, topic: string, partitions: ReadonlyArray<number>) =>
  Effect.try({
    try: () => cluster.findLeaderForPartitions(topic, partitions),
    catch: (cause) => new KafkaFailure({ reason: { _tag: "LEADER_NOT_AVAILABLE" }, cause })
  })
