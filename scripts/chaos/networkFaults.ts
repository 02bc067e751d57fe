/**
 * What a network does to the connections of some links, and for how long.
 *
 * A fault that is told to nobody (half open) ends for those to come and not for those that are there: a firewall that has
 * forgotten them does not remember them when it works again.
 */
import { Effect } from "effect"
import type { SeededRandom } from "../simulators/SeededRandom.ts"
import type { TcpProxy } from "../simulators/TcpProxy.ts"
import { type ChaosShape, type FaultKind, numbered, numberIn, othersThan } from "./ChaosFault.ts"

interface NetworkFault {
  /** For the report. */
  readonly name: string
  /** False: it has happened at once, and has no end. */
  readonly lasts: boolean
  /** Whether nothing at all passes while it lasts. */
  readonly severs: boolean
  /** Done to each of its links, until it is interrupted. */
  readonly begin: (proxy: TcpProxy, random: SeededRandom) => Effect.Effect<void>
  readonly end?: (proxy: TcpProxy) => void
}

/** About a third of the connections there are, and at least one. */
const some = (proxy: TcpProxy, random: SeededRandom) => {
  const open = proxy.connections()
  if (open.length === 0) return []
  const one = random.pick(open)
  return open.filter((connection) => connection === one || random.chance(0.3))
}
const each = (connections: ReturnType<TcpProxy["connections"]>, what: "drop" | "freeze" | "cut") =>
  Effect.sync(() => connections.forEach((one) => one[what]()))

const kinds = {
  "half-open-some": {
    name: "some half open, for good",
    lasts: false,
    severs: false,
    begin: (proxy, random) => each(some(proxy, random), "drop")
  },
  "half-open": {
    name: "all half open; new ones work again, old ones never",
    lasts: true,
    severs: true,
    begin: (proxy) => Effect.sync(proxy.dropAll),
    end: (proxy) => proxy.admit("served")
  },
  "half-open-cut": {
    name: "all half open, then cut",
    lasts: true,
    severs: true,
    begin: (proxy) => Effect.sync(proxy.dropAll),
    end: (proxy) => proxy.restore()
  },
  "frozen-some": {
    name: "some frozen",
    lasts: true,
    severs: false,
    begin: (proxy, random) => each(some(proxy, random), "freeze"),
    end: (proxy) => proxy.thawAll()
  },
  frozen: {
    name: "all frozen",
    lasts: true,
    severs: true,
    begin: (proxy) => Effect.sync(proxy.freezeAll),
    end: (proxy) => proxy.thawAll()
  },
  slow: {
    name: "slow",
    lasts: true,
    severs: false,
    begin: (proxy, random) => Effect.sync(() => proxy.delay(random.int(50, 1_500))),
    end: (proxy) => proxy.delay(0)
  },
  "cut-some": {
    name: "some cut",
    lasts: false,
    severs: false,
    begin: (proxy, random) => each(some(proxy, random), "cut")
  },
  cut: { name: "all cut", lasts: false, severs: false, begin: (proxy) => Effect.sync(proxy.cutAll) },
  refused: {
    name: "refused",
    lasts: true,
    severs: true,
    begin: (proxy) =>
      Effect.sync(() => {
        proxy.admit("refused")
        proxy.cutAll()
      }),
    end: (proxy) => proxy.admit("served")
  },
  flapping: {
    name: "cut again and again",
    lasts: true,
    severs: false,
    begin: (proxy, random) =>
      Effect.suspend(() => Effect.delay(Effect.sync(proxy.cutAll), random.int(100, 800))).pipe(Effect.forever)
  }
} as const satisfies Readonly<Record<string, NetworkFault>>

/** Does it to all of the links for so long. They are as before when this ends, however it ends. */
const inflict = (
  { begin, end, lasts }: NetworkFault,
  links: ReadonlyArray<TcpProxy>,
  millis: number,
  random: SeededRandom
) => {
  const all = Effect.forEach(links, (link) => begin(link, random), { discard: true, concurrency: "unbounded" })
  if (!lasts) return all
  return Effect.andThen(all, Effect.never).pipe(
    Effect.timeoutOption(millis),
    Effect.ensuring(Effect.sync(() => links.forEach((link) => end?.(link))))
  )
}

const targets = ({ brokers, instances }: ChaosShape) => [
  ...numbered("database", instances),
  "databases",
  "adapter",
  "hilltop",
  ...(brokers > 0 ? ["kafka"] : []),
  "everything"
]

const faultOf = (kind: NetworkFault): FaultKind => ({
  text: kind.name,
  room: "network",
  targets,
  severs: kind.severs,
  inflict: ({ network }, target, millis, random) =>
    Effect.as(inflict(kind, network.links(target), millis, random), undefined),
  // One that has lost its database must not hold up the others, nor a source that cannot be reached another flow.
  spares: (target, { councils, instances }) => {
    const lookupsAt = target.startsWith("database ")
      ? othersThan(numberIn(target), instances)
      : target === "hilltop"
        ? othersThan(0, instances)
        : []
    return { lookupsAt, councils: target === "adapter" ? othersThan(0, councils) : [] }
  }
})

export const networkFaults: Readonly<Record<string, FaultKind>> = Object.fromEntries(
  Object.entries(kinds).map(([name, kind]) => [name, faultOf(kind)])
)
