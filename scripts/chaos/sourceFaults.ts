/**
 * What the sources themselves do: the adapter and the Hilltop servers slow, dead, talking nonsense, sending elsewhere, answering
 * by drops; and one accounting point alone that never answers.
 */
import { Effect } from "effect"
import type { FaultSettings } from "../simulators/adapter/AdapterFaults.ts"
import type { FaultSetting } from "../simulators/hilltop/HilltopFaults.ts"
import type { SeededRandom } from "../simulators/SeededRandom.ts"
import { type ChaosShape, type ChaosWorld, type FaultKind, numbered, numberIn, othersThan } from "./ChaosFault.ts"
import { points, steady } from "./ChaosLoad.ts"

/** How the adapter answers when nothing is wrong. */
export const usualAdapter: FaultSettings = { latency: 5, jitter: 25 }

const ofAdapter = (
  text: string,
  faults: (random: SeededRandom, gsrn: string) => FaultSettings,
  more: Pick<FaultKind, "isSeen" | "spares"> = {}
): FaultKind => ({
  text,
  room: "source",
  targets: () => ["the adapter"],
  shortest: 2_000,
  inflict: ({ adapter }, _, millis, random) =>
    Effect.gen(function* () {
      const { gsrn } = yield* adapter.point(random.int(steady, points - 1))
      yield* adapter.faults.set({ ...usualAdapter, ...faults(random, gsrn) })
      yield* Effect.sleep(millis)
    }).pipe(Effect.ensuring(adapter.faults.set(usualAdapter)), Effect.as(undefined)),
  spares: (_, { councils }) => ({ councils: othersThan(0, councils) }),
  ...more
})

/** The path of a council stands for it in the rules of the simulator. */
const pathOf = ({ hilltop }: ChaosWorld, target: string): string | undefined => {
  const number = numberIn(target)
  const source = number === undefined ? undefined : hilltop.sources[number - 1]
  return source === undefined ? undefined : new URL(source.htsUrl).pathname
}

const servers = ({ councils }: ChaosShape) => [...numbered("server", councils), "all servers"]

/** That something is the matter with the servers of the target. */
const isServerSeen: FaultKind["isSeen"] = ({ hilltop: { servers } }, target, { hilltop, network }) => {
  const number = numberIn(target)
  return hilltop.sources
    .filter((_, i) => number === undefined || i === number - 1)
    .every(({ htsUrl }) => {
      const { origin } = new URL(network.throughProxy(htsUrl))
      const server = servers.find((one) => one.origin === origin)
      return server !== undefined && (server.failing.value > 0 || !["well", "idle"].includes(server.state))
    })
}

const ofServers = (text: string, faults: (random: SeededRandom) => FaultSetting, isSeen = false): FaultKind => ({
  text,
  room: "source",
  targets: servers,
  shortest: 2_000,
  inflict: (world, target, millis, random) => {
    const path = pathOf(world, target)
    const rule = { ...faults(random), ...(path === undefined ? {} : { path: `^${path.replaceAll(".", "\\.")}` }) }
    const set = (rules: ReadonlyArray<FaultSetting>) => Effect.orDie(world.hilltop.faults.set(rules))
    return Effect.andThen(set([rule]), Effect.sleep(millis)).pipe(Effect.ensuring(set([])), Effect.as(rule.fault))
  },
  spares: (target, { councils, instances }) => ({
    councils: othersThan(numberIn(target), councils),
    lookupsAt: othersThan(0, instances)
  }),
  ...(isSeen ? { isSeen: isServerSeen } : {})
})

export const sourceFaults: Readonly<Record<string, FaultKind>> = {
  "adapter-slow": ofAdapter("slow, by up to 5 s", () => ({ latency: 200, jitter: 4_800 })),
  "adapter-dead": ofAdapter("dead", (random) => ({ outage: random.pick(["unavailable", "reset", "hang"] as const) }), {
    isSeen: ({ accounting_points: { adapter, failures } }) =>
      failures.length > 0 || adapter.failed_per_second > 0 || adapter.circuit.state !== "closed"
  }),
  "adapter-garbled": ofAdapter("talking nonsense, two times of three", () => ({
    chances: {
      garbage: 0.1,
      truncated: 0.1,
      wrong_content_type: 0.1,
      other_gsrn: 0.1,
      missing_field: 0.1,
      malformed_value: 0.1,
      overlapping_rows: 0.06
    }
  })),
  "adapter-redirecting": ofAdapter("sending elsewhere, every second time", () => ({ chances: { redirect: 0.5 } })),
  "adapter-trickling": ofAdapter("answering by drops, every second time", () => ({ chances: { trickle: 0.5 } })),
  "adapter-one-point": ofAdapter(
    "never answering about one accounting point",
    (_, gsrn) => ({ points: { [gsrn]: { fault: "hang" } } }),
    {
      spares: (_, { councils, instances }) => ({
        councils: othersThan(0, councils),
        lookupsAt: othersThan(0, instances)
      })
    }
  ),
  "server-slow": ofServers("slow, by 3 s", () => ({ fault: "delay", milliseconds: 3_000 })),
  "server-dead": ofServers(
    "dead",
    (random) =>
      random.pick([
        { fault: "hang" },
        { fault: "reset" },
        { fault: "status", status: 522 },
        { fault: "status", status: 503 }
      ] as const),
    true
  ),
  "server-garbled": ofServers("talking nonsense, two times of three", (random) => ({
    ...random.pick([
      { fault: "html" },
      { fault: "empty-body" },
      { fault: "truncate" },
      { fault: "spoilt-text" },
      { fault: "exception-report" },
      { fault: "other-site" }
    ] as const),
    probability: 0.66
  })),
  "server-redirecting": ofServers("sending elsewhere", (random) => ({
    fault: "redirect",
    to: random.pick(["/elsewhere", "http://127.0.0.1:9/elsewhere", "?Service=Hilltop&Request=SiteList"])
  })),
  "server-trickling": ofServers("answering by drops", () => ({
    fault: "trickle",
    bytes_per_second: 200,
    piece_bytes: 20
  }))
}
