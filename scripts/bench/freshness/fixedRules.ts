/** The rules of the original and those of Penstock before its policy, with all their intervals stretched by one factor. */
import { SeededChance } from "./SeededChance.ts"
import type { Rule, Tasks } from "./simulate.ts"

const minute = 60
const hour = 3600
const day = 86_400

/** Anything, at random: lists 10–20 days, months 20–30 days, latest data by the age of the last value. */
export const originalRules = (tasks: Tasks, seed: number, stretch: number): Rule => {
  const chance = new SeededChance(seed ^ 0x0123)
  const latest = (age: number) =>
    age < hour
      ? chance.between(0, 15 * minute)
      : age < day
        ? chance.between(0, hour)
        : age < 7 * day
          ? chance.between(0, day)
          : chance.between(0, 30 * day)
  return {
    after: ({ at, newest, task }) =>
      at +
      stretch *
        (task < tasks.lists
          ? latest(at - newest!)
          : task < tasks.months
            ? chance.between(10 * day, 20 * day)
            : chance.between(20 * day, 30 * day))
  }
}

/** At the step of the series, more seldom when it is silent for a day and for a week; lists twice a day; months 25 days ± 20 %. */
export const stepRules = (tasks: Tasks, seed: number, stretch: number): Rule => {
  const chance = new SeededChance(seed ^ 0x4567)
  const latest = (age: number, step: number) =>
    age < day ? Math.min(6 * hour, Math.max(5 * minute, step)) : age < 7 * day ? 6 * hour : day
  return {
    after: ({ at, newest, task }) =>
      at +
      stretch *
        (task < tasks.lists
          ? latest(at - newest!, tasks.world.series[task]!.step) * chance.between(0.95, 1.05)
          : task < tasks.months
            ? 12 * hour * chance.between(0.95, 1.05)
            : 25 * day * chance.between(0.8, 1.2))
  }
}
