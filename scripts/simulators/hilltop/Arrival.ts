/**
 * When a value becomes visible. A pure function, so that what has arrived at any moment is known without having waited.
 */
import { hash01 } from "./Noise.ts"
import type { WallTime } from "./WallTime.ts"
import { day, hour, minute } from "./WallTime.ts"

/**
 * When values become visible: the source is read every `period` seconds, and then holds what is at least `lag` old.
 * A share of the readings fails, as do all of them for days now and then; the next one brings what was missed.
 */
export interface Arrival {
  readonly key: number
  readonly period: number
  readonly phase: number
  readonly lag: number
  readonly failing: number
}

/** 5 to 15 minutes late. */
export const telemetry = (key: number): Arrival => ({
  key,
  period: 10 * minute,
  phase: Math.floor(hash01(key, 1) * 10 * minute),
  lag: 5 * minute,
  failing: 0.01
})

/** Batches of two or three hours. */
export const logger = (key: number): Arrival => {
  const period = hash01(key, 2) < 0.5 ? 2 * hour : 3 * hour
  return { key, period, phase: Math.floor(hash01(key, 1) * period), lag: 10 * minute, failing: 0.02 }
}

/** Uploaded once a day, between six and nine in the morning. */
export const dailyUpload = (key: number): Arrival => ({
  key,
  period: day,
  phase: 6 * hour + Math.floor(hash01(key, 1) * 3 * hour),
  lag: 0,
  failing: 0.03
})

/** From the laboratory or the office, two to five weeks later, in weekly batches. */
export const laboratory = (key: number): Arrival => ({
  key,
  period: 7 * day,
  phase: Math.floor(hash01(key, 1) * 5) * day + 15 * hour,
  lag: 14 * day + Math.floor(hash01(key, 2) * 21) * day,
  failing: 0
})

const outage = 3 * day

const reads = (arrival: Arrival, reading: number): boolean =>
  hash01(arrival.key, reading) >= arrival.failing &&
  hash01(arrival.key ^ 0x5bd1, Math.floor((reading * arrival.period) / outage)) >= 0.01

/** The latest time whose value has arrived at `now`. */
export const arrivedUntil = (arrival: Arrival, now: WallTime): WallTime => {
  let reading = Math.floor((now - arrival.phase) / arrival.period)
  // Three outages in a row have a chance of one in a million; 5,000 readings span eleven of the shortest period.
  for (let tries = 0; tries < 5_000 && !reads(arrival, reading); tries++) reading--
  return reading * arrival.period + arrival.phase - arrival.lag
}
