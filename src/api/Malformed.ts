/**
 * What is wrong with a request: a 400 that tells all its faults, and text that the database could not keep.
 */
import { Effect, Schema } from "effect"
import { HttpApiMiddleware } from "effect/http-api"
import { describeFaults } from "../running/describeFaults.ts"
import { problems, refuse } from "./Problems.ts"

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
