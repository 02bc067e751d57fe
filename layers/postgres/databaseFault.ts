/**
 * Why a database cannot be used, and what to do about it, in words: by the code of the system or of the server, never by its
 * message, which may hold values.
 */
import type { Redacted } from "effect"
import { Result } from "effect"
import type { SqlError } from "effect/sql"
import { isReadOnly, sqlStateOf } from "./PgSession.ts"
import { addressOf } from "./PgSocket.ts"

export interface DatabaseFault {
  /** Half a sentence, without a full stop. */
  readonly problem: string
  /** The same, of what to do. */
  readonly remedy: string
}

const codeOf = (error: unknown, depth = 0): string | undefined => {
  if (typeof error !== "object" || error === null || depth > 4) return undefined
  if ("code" in error && typeof error.code === "string") return error.code
  if ("errors" in error && Array.isArray(error.errors)) return codeOf(error.errors[0], depth + 1)
  return codeOf("cause" in error ? error.cause : "reason" in error ? error.reason : undefined, depth + 1)
}

const messageOf = ({ reason }: SqlError.SqlError): string =>
  `${reason.message ?? ""} ${reason.cause instanceof Error ? reason.cause.message : ""}`

/** An address that cannot be read has no parts; whatever is wrong with it is told without it. */
const partsOf = (url: Redacted.Redacted) =>
  Result.getOrElse(
    Result.try(() => addressOf(url)),
    () => ({ server: "its address", host: "its host", database: "its database", user: "its user" })
  )

/** What the failure of the first statement, or of any other, says of the database at the address. */
export const databaseFault = (error: SqlError.SqlError, url: Redacted.Redacted): DatabaseFault => {
  const { database, host, server, user } = partsOf(url)
  const state = sqlStateOf(error)
  const message = messageOf(error)
  if (isReadOnly(error)) {
    return {
      problem: `PostgreSQL at ${server} only reads: a standby, or made so`,
      remedy: "let DATABASE_URL lead to the primary"
    }
  }
  switch (codeOf(error)) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NODATA":
      return { problem: `no host ${host} is known`, remedy: "check the host in DATABASE_URL, and the name service" }
    case "ECONNREFUSED":
    case "ENOENT":
      return {
        problem: `nobody listens at ${server}`,
        remedy: "check the port in DATABASE_URL, and whether PostgreSQL runs and listens there (listen_addresses)"
      }
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return { problem: `${server} cannot be reached`, remedy: "check the host in DATABASE_URL, routes and firewalls" }
    case "28P01":
      return {
        problem: `PostgreSQL at ${server} refuses the password of user ${user}, or has no such user`,
        remedy: "check user and password in DATABASE_URL"
      }
    case "28000":
      return {
        problem: `PostgreSQL at ${server} does not let user ${user} in: no such role, or no line of pg_hba.conf for it`,
        remedy:
          "check the user in DATABASE_URL, its right to log in, pg_hba.conf, and whether TLS is demanded (?sslmode=require)"
      }
    case "3D000":
      return {
        problem: `PostgreSQL at ${server} has no database ${database}`,
        remedy: `make it (CREATE DATABASE "${database}" OWNER "${user}"), or correct the name in DATABASE_URL`
      }
    case "53300":
      return {
        problem: `PostgreSQL at ${server} has no connection left`,
        remedy:
          "raise max_connections (or the limit of the role or database), lower DATABASE_POOL, or end other clients"
      }
    case "57P03":
      return { problem: `PostgreSQL at ${server} is starting up or shutting down`, remedy: "try again in a moment" }
    case "42501":
      return {
        problem: `user ${user} lacks a right in database ${database}`,
        remedy: `let "${user}" own the database, or grant CONNECT and CREATE on it`
      }
  }
  if (/TLS|SSL/.test(message)) {
    return {
      problem: `PostgreSQL at ${server} and Penstock do not agree on TLS`,
      remedy:
        "set ?sslmode=require or ?sslmode=disable in DATABASE_URL, as the server has it; NODE_EXTRA_CA_CERTS adds a certificate"
    }
  }
  if (/time|deadline|within/i.test(message)) {
    return {
      problem: `${server} takes the connection and does not answer, or is not reached`,
      remedy: "check host and port in DATABASE_URL, firewalls, and the load of the server"
    }
  }
  if (error.reason._tag === "ConnectionError") {
    return {
      problem: `what listens at ${server} does not speak PostgreSQL's protocol, or cut the connection`,
      remedy: "check the port in DATABASE_URL"
    }
  }
  const what = state === undefined ? error.reason._tag : `${error.reason._tag}, ${state}`
  return { problem: `PostgreSQL at ${server} refused a statement (${what})`, remedy: "look into its log" }
}
