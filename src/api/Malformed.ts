/**
 * What is wrong with a request, in words that name the field and the rule, and never the value.
 *
 * Schemas do not keep the input in their issues, so their messages cannot repeat it; a path names keys of our own schemas
 * only, since unknown keys are ignored.
 */
import { Effect, Schema, SchemaIssue } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { problems, refuse } from "./Problems.ts"

/** Beyond this many faults the answer only counts: a batch may hold thousands. */
const shown = 5

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const withArticle: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "a boolean",
  object: "an object",
  array: "an array"
}

/** `Expected object | array` reads `must be an object or an array`. */
const rule = (message: string): string => {
  if (message === "Missing key") return "is missing"
  if (!message.startsWith("Expected ")) return message
  const alternatives = message.slice("Expected ".length).split(" | ")
  return `must be ${alternatives.map((one) => withArticle[one] ?? one).join(" or ")}`
}

/** `[3].gsrn: must be …`; the root has no path and is called `whole`. */
const fault = (whole: string, issue: { readonly message: string; readonly path?: unknown }): string => {
  const keys: ReadonlyArray<unknown> = Array.isArray(issue.path) ? issue.path : []
  const path = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("")
  return `${path === "" ? whole : path.replace(/^\./, "")}: ${rule(issue.message)}`
}

export const describeFaults = (whole: string, error: Schema.SchemaError): string => {
  const faults = [...new Set(formatIssue(error.issue).issues.map((issue) => fault(whole, issue)))]
  const more = faults.length - shown
  return faults.slice(0, shown).join("; ") + (more > 0 ? `; and ${more} more` : "")
}

const wholeOf = { Params: "the path", Query: "the query", Headers: "the headers", Payload: "the body" } as const

/** Turns what a schema refuses into a 400; an answer of ours that breaks its own schema is a defect. */
export class Validation extends HttpApiMiddleware.Service<Validation>()("penstock/api/Validation", {
  error: [problems[400], problems[500]]
}) {
  static readonly layer = HttpApiMiddleware.layerSchemaErrorTransform(Validation, (error) =>
    error.kind === "Body" || error.kind === "ResponseHeaders"
      ? Effect.die(error)
      : refuse("malformed-request", describeFaults(wholeOf[error.kind], error.cause))
  )
}

const isStorable = (value: unknown): boolean => {
  if (typeof value === "string") return value.isWellFormed() && !value.includes("\u0000")
  if (typeof value !== "object" || value === null) return true
  return Object.entries(value).every(([key, inner]) => isStorable(key) && isStorable(inner))
}

/** Refuses text that PostgreSQL cannot keep: NUL characters, and halves of surrogate pairs. */
export const storable = Schema.makeFilter(
  (value: unknown) => isStorable(value) || "must not contain NUL characters or unpaired surrogates"
)
