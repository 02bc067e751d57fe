/** Metrics of the crawl: what was claimed, how runs went, and how the servers answered, by the state they were in. */
import { Effect } from "effect"
import { type ClaimedTask, FetchResult, RequestType } from "../domain/FetchTask.ts"
import type { Settlement } from "./Settlement.ts"
import { counter, gauge, histogram } from "../running/Instrument.ts"
import type { ServerState, ServerStates } from "./ServerBudget.ts"

const claims = counter("penstock.crawl.claims", {
  unit: "{claim}",
  description: "Hilltop tasks that were taken to be run, by request type",
  labels: ["request_type"]
})
const runs = counter("penstock.crawl.runs", {
  unit: "{run}",
  description: "runs of Hilltop tasks, by result",
  labels: ["result"]
})
const unavailable = counter("penstock.crawl.unavailable", {
  unit: "{run}",
  description: "runs whose server has had no data for so long that they are repeated once a month"
})
const servers = gauge("penstock.crawl.servers", {
  unit: "{server}",
  description: "Hilltop servers by how they are asked: open, cooling, slowed or free",
  labels: ["state"]
})
const inFlight = gauge("penstock.crawl.in_flight", {
  unit: "{task}",
  description: "Hilltop tasks that this instance runs"
})
const duration = histogram("penstock.crawl.fetch.duration", {
  unit: "s",
  description: "how long Hilltop servers took to answer, by the state of the server and how it took the request",
  labels: ["server_state", "answer"],
  boundaries: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
})
const size = histogram("penstock.crawl.fetch.size", {
  unit: "By",
  description: "bytes of the answers of Hilltop servers, decompressed, by the state of the server",
  labels: ["server_state"],
  boundaries: [1_000, 10_000, 100_000, 1_000_000, 5_000_000, 20_000_000]
})

/** Shown before there are any. */
export const showRuns = Effect.all(
  [
    claims.show(...RequestType.literals.map((request_type) => ({ request_type }))),
    runs.show(...FetchResult.literals.map((result) => ({ result }))),
    unavailable.show({}),
    duration.show(...["answered", "busy", "failed"].map((answer) => ({ server_state: "free", answer }))),
    size.show({ server_state: "free" })
  ],
  { discard: true }
)

export const noteClaimed = (tasks: ReadonlyArray<Pick<ClaimedTask, "requestType">>): Effect.Effect<void> =>
  Effect.forEach(
    Map.groupBy(tasks, ({ requestType }): RequestType => requestType),
    ([type, list]) => claims.add(list.length, { request_type: type }),
    { discard: true }
  )

export const noteInFlight = (tasks: number) => inFlight.set(tasks)

export const noteStates = (states: ServerStates) =>
  Effect.forEach(["open", "cooling", "slowed", "free"] as const, (state) => servers.set(states[state], { state }), {
    discard: true
  })

/** A run that was recorded. */
export const noteRun = ({ answer, run, ...rest }: Settlement, state: ServerState): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (run === undefined) return
    yield* runs.add(1, { result: run.result })
    if (rest.unavailable === true) yield* unavailable.add(1)
    if (answer === undefined) return
    const millis = answer.millis ?? run.millis
    if (millis !== undefined) {
      yield* duration.record(millis / 1000, { server_state: state, answer: answer.kind })
    }
    if (run.bytes !== undefined) yield* size.record(run.bytes, { server_state: state })
  })
