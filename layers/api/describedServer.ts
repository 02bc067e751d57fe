/** In which state a Hilltop server is, and why, for people. */
import type { ServerView } from "../../src/api/Overview.ts"
import { failuresOfCircuit } from "../crawl/hilltopServers.ts"

/** Of a row of `hilltop_servers` with tasks. */
export const serverState = (of: string): string => `CASE
  WHEN ${of}.failures >= ${failuresOfCircuit} AND ${of}.open_until > now() THEN 'left_alone'
  WHEN ${of}.failures >= ${failuresOfCircuit} THEN 'probed' WHEN ${of}.cool_down_until > now() THEN 'resting'
  WHEN ${of}.pace < 1 THEN 'slowed' ELSE 'well' END`

export const reasonOf = ({ failures, pace, state }: Pick<ServerView, "failures" | "pace" | "state">): string | null =>
  state === "left_alone" || state === "probed"
    ? `${failures} failures in a row`
    : state === "resting"
      ? "it asked us to wait"
      : state === "slowed"
        ? `asked at ${Math.round(pace * 100)} % of its rate`
        : null
