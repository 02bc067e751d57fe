/**
 * Batches as the store gets them from the topic: a few messages, each with a month of a five-minute series.
 *
 * The values walk like a river's level, with the two digits of a real recorder, and every batch has series of its own.
 */
import { formatNzst, monthBounds } from "../../src/hilltop/Nzst.ts"
import type { Observation } from "../../src/domain/Observation.ts"
import type { StoreMessage } from "../../src/stream/ObservationStore.ts"

const step = 5 * 60_000
const { from, until } = monthBounds("2026-03") ?? { from: 0, until: 0 }

/** Of one message. */
export const valuesPerMessage = (until - from) / step
/** What the stage puts into one transaction: some 35,000 values. */
export const messagesPerBatch = 4
export const valuesPerBatch = valuesPerMessage * messagesPerBatch

/** Every hundredth value is corrected. */
const correctedEach = 100
export const correctedPerBatch = Math.ceil(valuesPerMessage / correctedEach) * messagesPerBatch

const times = Array.from({ length: valuesPerMessage }, (_, i) => formatNzst(from + i * step))

const level = (series: number, i: number): number =>
  1.2 + 0.4 * Math.sin(i / 700 + series) + 0.05 * Math.sin(i / 23 + series * 7)

const observationsOf = (series: number, corrected: boolean): ReadonlyArray<Observation> =>
  times.map((observedAt, i) => {
    const value = level(series, i) + (corrected && i % correctedEach === 0 ? 0.5 : 0)
    return { observedAt, value: value.toFixed(2) }
  })

/** A batch of first messages; the same number means the same series. */
export const inventedBatch = (number: number, corrected = false): ReadonlyArray<StoreMessage> =>
  Array.from({ length: messagesPerBatch }, (_, i) => {
    const series = number * messagesPerBatch + i
    return {
      offset: series,
      seenAt: until,
      covers: { from, until: until - 1 },
      message: {
        type: "OBSERVATION_DATA",
        councilId: 901,
        siteName: `Invented Stream at Bench ${series}`,
        measurementName: "Water Level",
        units: "m",
        observations: observationsOf(series, corrected)
      }
    }
  })
