/**
 * How every store fails: it is away, or somebody else holds a row for too long. Both pass, so whoever asked may ask again.
 */
import { Schema } from "effect"

/** Somebody else has held the row for over a second; whoever asked may try again at once. */
export class LockTimeout extends Schema.TaggedError<LockTimeout>()("LockTimeout", {}) {}

/** The store cannot be used just now. `cause` may hold values: it is for `catch` clauses, never for a log. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  cause: Schema.Defect()
}) {}
