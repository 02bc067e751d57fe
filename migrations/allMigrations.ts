/**
 * All migrations in order. Forward-only: one that was released is never edited, the next one mends it.
 *
 * Numbers 5 to 15 were steps to what the first four make now, and were never released; a database that took all of them is as the
 * first four make it, and goes on with 16.
 */
import accountingPoints from "./0001_accounting_points.ts"
import hilltop from "./0002_hilltop.ts"
import topics from "./0003_topics.ts"
import observations from "./0004_observations.ts"
import eventTimes from "./0016_event_times.ts"
import mismatchLimit from "./0017_mismatch_limit.ts"
import series from "./0018_series.ts"
import unavailableTasks from "./0019_unavailable_tasks.ts"
import refresh from "./0020_refresh.ts"
import uselessServers from "./0021_useless_servers.ts"
import eventTrace from "./0022_event_trace.ts"
import page from "./0023_page.ts"
import retention from "./0024_retention.ts"
import diskLooks from "./0025_disk_looks.ts"
import otherKinds from "./0026_other_kinds.ts"
import taskSearch from "./0027_task_search.ts"
import monthShapes from "./0028_month_shapes.ts"
import observationPacks from "./0029_observation_packs.ts"
import firstFetches from "./0030_first_fetches.ts"
import patientNotifications from "./0032_patient_notifications.ts"
import rowsByHand from "./0033_rows_by_hand.ts"
import awaitedPoints from "./0034_awaited_points.ts"
import datedClaims from "./0035_dated_claims.ts"

export const migrations = {
  "0001_accounting_points": accountingPoints,
  "0002_hilltop": hilltop,
  "0003_topics": topics,
  "0004_observations": observations,
  "0016_event_times": eventTimes,
  "0017_mismatch_limit": mismatchLimit,
  "0018_series": series,
  "0019_unavailable_tasks": unavailableTasks,
  "0020_refresh": refresh,
  "0021_useless_servers": uselessServers,
  "0022_event_trace": eventTrace,
  "0023_page": page,
  "0024_retention": retention,
  "0025_disk_looks": diskLooks,
  "0026_other_kinds": otherKinds,
  "0027_task_search": taskSearch,
  "0028_month_shapes": monthShapes,
  "0029_observation_packs": observationPacks,
  "0030_first_fetches": firstFetches,
  "0032_patient_notifications": patientNotifications,
  "0033_rows_by_hand": rowsByHand,
  "0034_awaited_points": awaitedPoints,
  "0035_dated_claims": datedClaims
}

/** The steps that are gone: a database that took some of them and not all cannot be brought up to date. */
export const stepsBefore = { first: 5, last: 15 }
