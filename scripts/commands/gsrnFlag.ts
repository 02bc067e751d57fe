/** The number of an accounting point as it was typed. */
import { Effect, Schema } from "effect"
import { Gsrn } from "../../src/domain/Identifiers.ts"
import { UsageError } from "./told.ts"

/** Text as typed may be anything, a personal number as well: it is not repeated. */
export const decodeGsrn = (text: string) =>
  Schema.decodeEffect(Gsrn)(text).pipe(
    Effect.mapError(
      () => new UsageError({ message: "--gsrn must be a GSRN: 18 digits, the first not 0, the last its check digit" })
    )
  )
