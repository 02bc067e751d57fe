/**
 * A source that is tried before it is saved, as it is entered and as what came of it is told.
 */
import { Schema } from "effect"
import { SourceConfiguration } from "../domain/HilltopSource.ts"
import { sentenceOf, type Trial } from "../crawl/trySource.ts"
import { HilltopAddress } from "./HilltopAdministration.ts"

export const TrialRequest = Schema.Struct({ hts_url: HilltopAddress, configuration: SourceConfiguration })

export const TrialView = Schema.Struct({
  answers: Schema.Boolean,
  /** For people: `answers, 312 sites, 41 have Rainfall`. */
  sentence: Schema.String,
  problem: Schema.NullOr(Schema.String),
  sites: Schema.NullOr(Schema.Int),
  located_sites: Schema.NullOr(Schema.Int),
  excluded_sites: Schema.NullOr(Schema.Int),
  measurements: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      /** Null where that could not be told, with the problem. */
      sites: Schema.NullOr(Schema.Int),
      problem: Schema.NullOr(Schema.String)
    })
  ),
  requests: Schema.Int,
  millis: Schema.Finite
})

export const trialView = (trial: Trial): typeof TrialView.Type => ({
  answers: trial.problem === undefined,
  sentence: sentenceOf(trial),
  problem: trial.problem ?? null,
  sites: trial.sites ?? null,
  located_sites: trial.located ?? null,
  excluded_sites: trial.excluded ?? null,
  measurements: trial.measurements.map(({ name, problem, sites }) => ({
    name,
    sites: sites ?? null,
    problem: problem ?? null
  })),
  requests: trial.requests,
  millis: trial.millis
})
