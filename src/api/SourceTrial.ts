/**
 * A source that is tried before it is saved, as it is entered and as what came of it is told.
 */
import { Schema } from "effect"
import { SourceConfiguration } from "../domain/HilltopSource.ts"
import { sentenceOf, type Trial } from "../crawl/trySource.ts"
import { HilltopAddress } from "./HilltopAdministration.ts"

export const TrialRequest = Schema.Struct({
  hts_url: HilltopAddress,
  configuration: SourceConfiguration.annotate({
    identifier: "TriedConfiguration",
    description: "What would be asked of the server, and how much."
  })
}).annotate({ description: "A source before it is saved." })

export const TrialView = Schema.Struct({
  answers: Schema.Boolean,
  sentence: Schema.String.annotate({
    description: "For people.",
    examples: ["answers, 312 sites, 41 have Rainfall"]
  }),
  problem: Schema.NullOr(Schema.String),
  sites: Schema.NullOr(Schema.Int),
  located_sites: Schema.NullOr(Schema.Int),
  excluded_sites: Schema.NullOr(Schema.Int),
  measurements: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      sites: Schema.NullOr(Schema.Int).annotate({
        description: "Null where that could not be told, with the problem."
      }),
      problem: Schema.NullOr(Schema.String)
    })
  ),
  requests: Schema.Int,
  millis: Schema.Finite
}).annotate({ identifier: "Trial", description: "What the source would find." })

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
