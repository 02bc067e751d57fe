/**
 * Failures as a log may show them: by their tags and codes. A driver's message is never logged, since it may carry values.
 */
import { Cause, Option } from "effect"

/** The tag of a failure, and the tag or code beneath it. */
export const describe = (cause: Cause.Cause<unknown>): string =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: tagOf,
    onNone: () => cause.reasons.map((reason) => (reason._tag === "Die" ? tagOf(reason.defect) : reason._tag)).join(", ")
  })

const tagOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return "unknown"
  const tag =
    "_tag" in error
      ? String(error._tag)
      : "code" in error
        ? `code ${String(error.code)}`
        : error instanceof Error
          ? error.name
          : "unknown"
  const beneath = "reason" in error ? error.reason : "cause" in error ? error.cause : undefined
  return typeof beneath === "object" && beneath !== null ? `${tag} (${tagOf(beneath)})` : tag
}
