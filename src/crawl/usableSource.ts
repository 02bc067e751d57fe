/**
 * A source as operators entered it, decoded; or why it cannot be used, in the words of `HilltopSource` and `HilltopUrl`.
 */
import { Effect, Schema } from "effect"
import { SourceConfiguration } from "../domain/HilltopSource.ts"
import { HtsUrl } from "../hilltop/HilltopUrl.ts"
import type { UsableSource } from "./FetchPlan.ts"

/** The source's address or configuration is not usable; `message` says where and why. */
export class UnusableSource extends Schema.TaggedError<UnusableSource>()("UnusableSource", {
  message: Schema.String
}) {}

const decodeConfiguration = Schema.decodeUnknownEffect(SourceConfiguration)
const decodeUrl = Schema.decodeUnknownEffect(HtsUrl)

/** The source with its address and configuration decoded. Fails with `UnusableSource`. */
export const usableSource = (row: {
  readonly id: number
  readonly councilId: number
  readonly htsUrl: string
  readonly configuration: unknown
}) =>
  Effect.all({ configuration: decodeConfiguration(row.configuration), htsUrl: decodeUrl(row.htsUrl) }).pipe(
    Effect.map(({ configuration, htsUrl }): UsableSource => ({
      id: row.id,
      councilId: row.councilId,
      htsUrl,
      configuration
    })),
    Effect.mapError((error) => new UnusableSource({ message: error.message }))
  )
