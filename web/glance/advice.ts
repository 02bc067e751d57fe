/** What to do about each cause, in a sentence or two, for somebody who was just called. */
import type { FlowCause } from "../asking/shapes.ts"

const advice: Readonly<Record<FlowCause, string>> = {
  late: "Copies are older than they may be. See which lane is oldest under Accounting points, and whether the adapter answers.",
  events_waiting:
    "Events wait to be followed. See whether the adapter answers and whether an instance with the role sync runs.",
  abandoned:
    "Work was begun and never ended. It is taken over by itself; if it stays, restart the instance that began it.",
  failing:
    "Some fail for reasons of their own. They are tried again by themselves; their kinds and samples are in the section.",
  adapter_left_alone:
    "The adapter fails for everybody. Ask those who run it; it is tried by itself, and what waits is taken up at its first answer.",
  adapter_useless:
    "The adapter has answered nothing that can be used for a long time. Failures under Accounting points say how; ask those who run it.",
  adapter_not_configured: "No adapter is set (ADAPTER_URL), so copies are not kept fresh.",
  servers_left_alone:
    "A server that fails or asks us to wait is left alone. It is asked again by itself; if it stays, ask those who run it.",
  servers_useless:
    "A server has answered nothing that can be used for a long time. Its last runs under Hilltop say why; ask those who run it.",
  requests_waiting: "Requests could be asked and are not. See whether an instance with the role crawl runs.",
  set_aside_lost:
    "Tasks were lost by their workers too often. Find out why in the log, then re-drive them under Hilltop.",
  source_problem: "A source's configuration or lists need a correction: its problem says which.",
  records_waiting:
    "Records are not read. See which group is behind under Streams, and whether an instance with the role stream runs.",
  dead_letters: "Records could not be used. Their reasons are under Streams; re-drive them after a fix.",
  loops: "A loop of this instance stands still. Restart the instance; its log says what it last did.",
  unavailable: "The topics cannot be looked at. See whether their brokers answer: penstock doctor asks each."
}

export const adviceFor = (causes: ReadonlyArray<FlowCause>): ReadonlyArray<string> =>
  causes
    // While the adapter fails for everybody, failures say nothing of those that fail.
    .filter((cause) => cause !== "failing" || !causes.includes("adapter_left_alone"))
    .map((cause) => advice[cause])
