/**
 * A client as the benchmark uses it, whichever it is, and the documents that go through it.
 */
import type { Effect, Scope } from "effect"

export interface Message {
  readonly partition: number
  readonly key: string
  readonly value: string
}

export interface StreamSide {
  /** Done when all replicas have acknowledged all, gzip, idempotent. */
  readonly send: (topic: string, messages: ReadonlyArray<Message>) => Effect.Effect<void, unknown>
  /** Reads from the beginning, in batches, and keeps the group's position, until interrupted. */
  readonly read: (
    topic: string,
    group: string,
    take: (values: ReadonlyArray<string>) => void
  ) => Effect.Effect<never, unknown>
}

export type MakeStreamSide = (
  brokers: string,
  topics: Readonly<Record<string, number>>
) => Effect.Effect<StreamSide, unknown, Scope.Scope>

/** Partitions of every topic of the benchmark. */
export const partitions = 16

/** A month of 5-minute data as a Hilltop server sends it, in its raw message: 0.7 MB. */
export const inventedDocument = (n: number): Message => {
  const rows = Array.from({ length: 8_928 }, (_, i) => {
    const time = new Date(Date.UTC(2026, 0, 1) + i * 300_000).toISOString().slice(0, 19)
    return `<E><T>${time}</T><I1>${((n * 7919 + i * 104_729) % 100_000) / 100}</I1></E>`
  })
  return {
    partition: n % partitions,
    key: JSON.stringify({ type: "MEASUREMENT_DATA", councilId: n, siteName: `Site ${n}` }),
    value: JSON.stringify({ type: "MEASUREMENT_DATA", councilId: n, xml: `<Hilltop>${rows.join("\n")}</Hilltop>` })
  }
}
