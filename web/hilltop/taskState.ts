/** A task's state and kind in words. */
import type { Task } from "../asking/shapes.ts"
import type { Tone } from "../parts/Badge.ts"

export const taskStates: Readonly<Record<Task["status"], readonly [tone: Tone, word: string]>> = {
  due: ["late", "due"],
  scheduled: ["good", "scheduled"],
  claimed: ["good", "running"],
  failing: ["bad", "failing"],
  set_aside: ["rest", "set aside"]
}

export const requestTypes: Readonly<Record<string, string>> = {
  SITES_LIST: "list of sites",
  MEASUREMENTS_LIST: "list of measurements",
  MEASUREMENT_DATA: "data of a month",
  MEASUREMENT_DATA_LATEST: "latest data"
}

/** A month's request says which month. */
export const kindOfTask = ({ fetch_url, request_type }: Task): string => {
  const month = request_type === "MEASUREMENT_DATA" ? /[?&]from=(\d{4}-\d\d)/i.exec(fetch_url)?.[1] : undefined
  return month === undefined ? (requestTypes[request_type] ?? request_type) : `data of ${month}`
}
