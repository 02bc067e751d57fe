/**
 * When the records were appended that a group reads next: fetched from their partitions, one by one, since a broker sends what is larger
 * than was asked for only of the first partition of a question. What was looked at once is remembered while the group stays there.
 */
import { Effect } from "effect"
import { fetchAll, type Place } from "./kafkajsFetch.ts"
import { ask, type KafkaCluster, KafkaFailure } from "./KafkajsProtocol.ts"

/** A broker has the answer at once, or there is none. In milliseconds. */
const maxWaitTime = 100
/** The batch that comes first is sent whole, however large it is. */
const partitionBytes = 1
/** Places that are remembered: a group has a dozen. */
const remembered = 1_000

export const makeRecordAges = () => {
  const known = new Map<string, number | undefined>()

  const look = Effect.fnUntraced(function* (cluster: KafkaCluster, topic: string, place: Place, nodeId: string) {
    const broker = yield* ask(() => cluster.findBroker({ nodeId }))
    const [answer] = yield* fetchAll(broker, [place], { topic, maxWaitTime, partitionBytes })
    const records = (answer?.batches ?? []).filter(({ isControl }) => !isControl).flatMap((batch) => batch.records)
    return records.find(({ offset }) => offset >= place.fetchAt)?.at
  })

  return {
    /** Of the records at these places; nothing where none can be read. */
    oldest: Effect.fnUntraced(function* (cluster: KafkaCluster, topic: string, places: ReadonlyArray<Place>) {
      if (places.length === 0) return undefined
      const leaders = yield* Effect.try({
        try: () =>
          cluster.findLeaderForPartitions(
            topic,
            places.map(({ partition }) => partition)
          ),
        catch: (cause) => new KafkaFailure({ reason: { _tag: "LEADER_NOT_AVAILABLE" }, cause })
      })
      const nodeOf = new Map(Object.entries(leaders).flatMap(([node, led]) => led.map((one) => [one, node] as const)))
      const times = yield* Effect.forEach(
        places,
        Effect.fnUntraced(function* ({ fetchAt, partition }) {
          const key = `${topic} ${partition} ${fetchAt}`
          if (known.has(key)) return known.get(key)
          const node = nodeOf.get(partition)
          if (node === undefined) return undefined
          const at = yield* look(cluster, topic, { partition, fetchAt }, node)
          if (at === undefined) return undefined
          known.set(key, at)
          const [first] = known.keys()
          if (known.size > remembered && first !== undefined) known.delete(first)
          return at
        }),
        { concurrency: 4 }
      )
      const told = times.filter((at) => at !== undefined)
      return told.length === 0 ? undefined : Math.min(...told)
    })
  }
}
