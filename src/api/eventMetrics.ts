/** Metrics of thin events, by the way they came and what became of them. */
import { Effect } from "effect"
import { counter } from "../running/Instrument.ts"
import type { EventReceipt } from "../sync/EventInbox.ts"

const events = counter("penstock.events", {
  unit: "{event}",
  description: "thin events received, by the way they came and what became of them",
  labels: ["source", "outcome"]
})

export const noteEvents = (source: "http" | "topic", { recorded, stale, unknown }: EventReceipt): Effect.Effect<void> =>
  Effect.forEach(
    Object.entries({ recorded, stale, unknown }),
    ([outcome, number]) => events.add(number, { source, outcome }),
    { discard: true }
  )

/** Shown before there are any. */
export const showEvents = (source: "http" | "topic") =>
  events.show(...["recorded", "stale", "unknown"].map((outcome) => ({ source, outcome })))
