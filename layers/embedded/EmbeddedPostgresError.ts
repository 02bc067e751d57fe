/**
 * Why the embedded PostgreSQL could not be started, for the person who started Penstock.
 *
 * `message` is a complete sentence that names the way out; `reason` is for programs. Neither ever holds the password.
 */
import { Schema } from "effect"

export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  reason: Schema.Literals([
    /** A living process has its server running on this directory. */
    "AlreadyInUse",
    /** The directory holds something else than data of this major version of PostgreSQL. */
    "NotUsable",
    /** The user that the server must run as may not read or write what it needs. */
    "NotPermitted",
    /** There is no server for this operating system, or it does not run here. */
    "NotSupported",
    /** The chosen port was taken by someone else before the server could listen on it. */
    "PortTaken",
    /** Remains of the previous server still hold the data; they are on their way out. */
    "StillClosing",
    /** Anything else; the message carries the last lines of the server's log. */
    "Failed"
  ]),
  directory: Schema.String,
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}
