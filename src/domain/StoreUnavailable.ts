/**
 * How every store fails: it is away, or another session holds a row for too long. Both pass, so the caller may try again.
 */
import { Schema } from "effect"

/** Another session has held the row for over a second; the caller may try again at once. */
export class LockTimeout extends Schema.TaggedError<LockTimeout>()("LockTimeout", {}) {}

/** The store cannot be used just now. `cause` may hold values: it is for `catch` clauses, never for a log. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  cause: Schema.Defect()
}) {}
