/** All migrations in order. Forward-only: one that was released is never edited, the next one mends it. */
import accountingPoints from "./0001_accounting_points.ts"
import hilltop from "./0002_hilltop.ts"
import topics from "./0003_topics.ts"
import observations from "./0004_observations.ts"
import hilltopPlan from "./0005_hilltop_plan.ts"
import syncRows from "./0006_sync_rows.ts"
import hilltopBudgets from "./0007_hilltop_budgets.ts"
import observationCoverage from "./0008_observation_coverage.ts"
import observationYears from "./0009_observation_years.ts"
import eventArrival from "./0010_event_arrival.ts"
import observationRebuilds from "./0011_observation_rebuilds.ts"
import observationFrontiers from "./0012_observation_frontiers.ts"
import observationIndex from "./0013_observation_index.ts"
import hilltopLeases from "./0014_hilltop_leases.ts"
import observationSources from "./0015_observation_sources.ts"
import eventTimes from "./0017_event_times.ts"
import mismatchLimit from "./0018_mismatch_limit.ts"

export const migrations = {
  "0001_accounting_points": accountingPoints,
  "0002_hilltop": hilltop,
  "0003_topics": topics,
  "0004_observations": observations,
  "0005_hilltop_plan": hilltopPlan,
  "0006_sync_rows": syncRows,
  "0007_hilltop_budgets": hilltopBudgets,
  "0008_observation_coverage": observationCoverage,
  "0009_observation_years": observationYears,
  "0010_event_arrival": eventArrival,
  "0011_observation_rebuilds": observationRebuilds,
  "0012_observation_frontiers": observationFrontiers,
  "0013_observation_index": observationIndex,
  "0014_hilltop_leases": hilltopLeases,
  "0015_observation_sources": observationSources,
  "0017_event_times": eventTimes,
  "0018_mismatch_limit": mismatchLimit
}
