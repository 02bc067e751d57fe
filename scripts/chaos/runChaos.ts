/**
 * One run: both flows on some instances under load, one fault after the other, and every promise looked at after each of them
 * and at the end.
 *
 * It ends with the worst fault of the network and then with quiet; only after that is compared what the sources said with what was
 * kept, from the simulators' own records.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Clock, Duration, Effect, Fiber, Layer, Option, Schedule } from "effect"
import { seeded } from "../simulators/SeededRandom.ts"
import { faultNamed } from "./allFaults.ts"
import { budgetsKept } from "./budgetPromises.ts"
import { endsWithin } from "./ChaosInstance.ts"
import { type Asked, makeLedger } from "./ChaosLedger.ts"
import { addHilltopSources, makeLoad, registerUnits } from "./ChaosLoad.ts"
import { chaosPlan, type Episode, lastEpisode } from "./chaosPlan.ts"
import { brokenSentences, faultLine, type PastFault, recoveryPromises, textOf } from "./chaosReport.ts"
import { fetchWithin, syncDeadAfter, syncWithin } from "./chaosSettings.ts"
import { type Checked, checked, merged, type PromiseName } from "./Checked.ts"
import { answersAudited, copiesAgree, copiesInTime, settledForward, writesWentForward } from "./copyPromises.ts"
import { documentPromises } from "./documentPromises.ts"
import { healthPromises, type Severed } from "./healthPromises.ts"
import { backWithin, untilBack } from "./recovery.ts"
import { requestPromises } from "./requestPromises.ts"
import { nothingTold } from "./secretPromises.ts"
import { overviewIsTrue, overviewOf } from "./seenPromises.ts"
import { sparedPromises } from "./sparedPromises.ts"
import { type ChaosOptions, chaosServices, shapeOf, startWorld } from "./startWorld.ts"
import { watchStalls } from "./Stalls.ts"
import { loggedSettlements } from "./writeLog.ts"

export interface ChaosResult {
  readonly startedAt: number
  readonly faults: ReadonlyArray<PastFault>
  readonly asked: ReadonlyArray<Asked>
  readonly checks: ReadonlyArray<Checked>
  /** What was done and kept, for people. */
  readonly figures: ReadonlyArray<string>
  /** What was not as promised, in sentences; none in a good run. */
  readonly broken: ReadonlyArray<string>
  readonly brokenPromises: ReadonlyArray<PromiseName>
}

/** After the time in which everything has to be back: so long nothing may fail any more. */
const calm = 8_000
/** What was accepted is followed so soon, but for claims that an instance left behind. */
const followedWithin = Duration.toMillis(syncDeadAfter) + 10_000
/** Hilltop tasks. */
const fewestSettled = 12
/** A fault that lasted so long has to be seen. */
const seenAfter = 12_000

/** Faults begin when there is something for them to disturb. */
const underWay = loggedSettlements.pipe(
  Effect.repeat({ until: ({ settled }) => settled >= fewestSettled, schedule: Schedule.spaced("100 millis") }),
  Effect.timeoutOption("90 seconds")
)

const run = Effect.fnUntraced(function* (options: ChaosOptions) {
  const { kinds, seed, tell } = options
  const shape = shapeOf(options)
  const world = yield* startWorld(options)
  const { instances, network } = world
  const stalls = yield* watchStalls
  const ledger = yield* makeLedger(stalls)
  const parts = { seed, instances, ledger, stalls }
  yield* addHilltopSources(network)
  yield* registerUnits(parts)
  const startedAt = yield* Clock.currentTimeMillis
  yield* untilBack(parts, startedAt)
  const load = yield* makeLoad(parts)
  const loading = yield* Effect.forkScoped(load.run)
  yield* underWay

  const faults: Array<PastFault> = []
  const severed: Array<Severed> = []
  /** What holds of a moment or of a fault. */
  const momentary: Array<Checked> = []
  const toldOf = new Set<string>()
  /** What holds all the time, as it is so far: it is told at once, with the fault that it follows. */
  const lookSoFar = Effect.gen(function* () {
    momentary.push(yield* copiesInTime(Duration.toSeconds(syncWithin) + 30))
    const soFar = yield* Effect.all([writesWentForward, settledForward, budgetsKept(world)])
    for (const { broken, of, promise } of [...soFar, ...momentary]) {
      if (broken.length === 0 || toldOf.has(`${promise} ${of}`)) continue
      toldOf.add(`${promise} ${of}`)
      yield* tell(`          BROKEN: ${brokenSentences([{ promise, of, facts: 0, broken }]).join("; ")}`)
    }
  }).pipe(Effect.timeoutOption("10 seconds"), Effect.ignoreCause)

  /** Whether an operator sees it by the time that it has gone on for a while. */
  const watchSeen = Effect.fnUntraced(function* ({ kind, target }: Episode) {
    const { isSeen } = faultNamed(kind)
    if (isSeen === undefined) return
    yield* Effect.sleep(seenAfter)
    const shown = yield* overviewOf(ledger, instances[0]!)
    if (Option.isNone(shown)) return
    const broken = isSeen(shown.value, target, world)
      ? []
      : [
          `${textOf({ kind, target, detail: undefined })} was not to be seen in the overview after ${seenAfter / 1_000} s`
        ]
    momentary.push(checked("seen", 1, "faults in the overview", broken))
  })

  let wasWell = true
  /** Until then requests may hang at the Hilltop servers and keep their places, of a fault that is over. */
  let hangsUntil = startedAt
  const live = Effect.fnUntraced(function* (episode: Episode) {
    const { kind, millis, quiet, target } = episode
    const fault = faultNamed(kind)
    const from = yield* Clock.currentTimeMillis
    const watching = yield* Effect.forkScoped(watchSeen(episode))
    const detail = yield* fault.inflict(world, target, millis, seeded(seed, "fault", faults.length))
    yield* Fiber.interrupt(watching)
    const to = yield* Clock.currentTimeMillis
    if (fault.severs === true) {
      const those = fault.room === "network" ? network.databasesOf(target) : instances.map(({ number }) => number)
      for (const instance of those) severed.push({ instance, from, to })
    }
    const recovery = quiet === undefined ? undefined : yield* untilBack(parts, to)
    const past: PastFault = { ...episode, detail, at: from - startedAt, lasted: to - from, recovery }
    faults.push(past)
    yield* tell(faultLine(past))
    if (wasWell) {
      const spared = fault.spares?.(target, shape) ?? {}
      const spares = from < hangsUntil ? { ...spared, councils: [] } : spared
      const lasted = { text: `${textOf(past)}, at ${(past.at / 1_000).toFixed(0)} s`, from, to, spares }
      const lookupsAt = (spares.lookupsAt ?? []).filter((number) => instances[number - 1]?.roles.has("api"))
      momentary.push(yield* sparedPromises(world, { ...lasted, spares: { ...spares, lookupsAt } }, ledger.all()))
    }
    if (/hilltop|everything|server/.test(target)) hangsUntil = to + Duration.toMillis(fetchWithin)
    wasWell = recovery?.millis !== undefined
    if (wasWell) yield* lookSoFar
    yield* Effect.sleep(quiet ?? 0)
    return to
  })

  const stopAt = startedAt + Duration.toMillis(options.faultsFor)
  let lastFaultAt = startedAt
  for (const episode of options.episodes ?? chaosPlan({ seed, shape, kinds })) {
    if ((yield* Clock.currentTimeMillis) >= stopAt) break
    lastFaultAt = yield* live(episode)
  }
  if (options.episodes === undefined) lastFaultAt = yield* live(lastEpisode)
  const calmFrom = Math.max(lastFaultAt + backWithin, yield* Clock.currentTimeMillis)
  if (options.episodes === undefined) yield* Effect.sleep(calmFrom + calm - (yield* Clock.currentTimeMillis))
  const calmUntil = yield* Clock.currentTimeMillis
  yield* Fiber.interrupt(loading)
  yield* tell("the load has ended; what was kept is compared with the sources")
  const told = yield* Effect.timeoutOption(load.told, "30 seconds")
  const agreed = yield* copiesAgree(seed, followedWithin)
  const documents = yield* documentPromises
  yield* ledger.settled
  const asked = ledger.all()
  const atTheEnd = yield* Effect.all([
    writesWentForward,
    settledForward,
    budgetsKept(world),
    answersAudited(asked),
    copiesInTime(Duration.toSeconds(syncWithin) + 30),
    overviewIsTrue(ledger, instances[0]!),
    nothingTold(world, asked)
  ])

  // The second one has to end while its database does not answer.
  for (const link of network.links("database 2")) link.dropAll()
  const endings = yield* Effect.forEach(instances, ({ stop }) => stop, { concurrency: "unbounded" })

  const restless = asked.filter(
    ({ at, kind, status }) =>
      at >= calmFrom && at < calmUntil && (status === undefined || status >= 500) && kind !== "register"
  )
  const { ordered, told: followed } = load.changes()
  const seconds = (millis: number) => (millis / 1_000).toFixed(1)
  const checks = merged([
    ...momentary,
    ...atTheEnd,
    ...documents.checked,
    agreed.checked,
    recoveryPromises(faults),
    requestPromises(asked, startedAt, new Map(instances.map(({ number, outages }) => [number, outages]))),
    healthPromises(asked, severed, startedAt),
    checked(
      "back",
      asked.filter(({ at }) => at >= calmFrom && at < calmUntil).length,
      "requests when all is quiet",
      restless.length === 0
        ? []
        : [
            `${restless.length} requests failed ${backWithin / 1_000} s and more after the last fault, the first a ${restless[0]!.kind} at instance ${restless[0]!.instance}: ${restless[0]!.status ?? "no answer"} (${restless[0]!.detail})`
          ]
    ),
    checked(
      "kept",
      followed,
      "events that were accepted",
      told._tag === "Some" ? [] : [`events were not accepted 30 s after the load`]
    ),
    checked("ended", endings.length, "instances", [
      ...instances.flatMap(({ wrongEnds }) => wrongEnds),
      ...endings.flatMap((millis, i) =>
        millis <= endsWithin ? [] : [`instance ${i + 1} took ${seconds(millis)} s to end`]
      )
    ])
  ])
  const result: ChaosResult = {
    startedAt,
    faults,
    asked,
    checks,
    figures: [
      `${ordered} changes at the adapter, ${followed} events accepted; copies and adapter agreed ${seconds(agreed.millis)} s after the load`,
      `${documents.settled} runs with news, ${documents.documents} documents, ${documents.messages} messages, ${documents.observations} observations; all asked once more and read in ${seconds(documents.millis)} s`,
      `${documents.again.length} documents lie in the topic more than once`,
      ...documents.again.map((one) => `  in partition ${one}`),
      `${documents.packs.packed} pieces of years that are over were packed, and ${documents.packs.unpacked} of them unpacked since a document corrected them`,
      `there was no processor for ${seconds(stalls.between(startedAt, calmUntil))} s of ${((calmUntil - startedAt) / 1_000).toFixed(0)} s; what was taken of requests and recoveries is without them`,
      `instances ended in ${endings.map((millis) => `${seconds(millis)} s`).join(", ")}, the second without its database`
    ],
    broken: brokenSentences(checks),
    brokenPromises: [...new Set(checks.flatMap(({ broken, promise }) => (broken.length === 0 ? [] : [promise])))]
  }
  return result
})

/** Runs it; everything it started has ended when this has. */
export const runChaos = (options: ChaosOptions) =>
  run(options).pipe(Effect.scoped, Effect.provide(Layer.merge(chaosServices(options), NodeHttpClient.layerUndici)))
