/**
 * This machine: room on the disk of the embedded database, and the keys that callers show.
 */
import { Effect, Redacted } from "effect"
import { statfs } from "node:fs/promises"
import { dirname } from "node:path"
import { type ApiKey, Settings } from "../../layers/Settings.ts"
import { failed, type Finding, ok, warning } from "./Finding.ts"

/** Bytes in the unit in which a person would say them. */
export const bytesText = (bytes: number): string => {
  const units = ["B", "kB", "MB", "GB", "TB"]
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)))
  const value = bytes / 1_000 ** power
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.round(value)} ${units[power]}`
}

/** Of the file system of a directory, or of the one that it will be made in. */
export const freeAt = (directory: string): Effect.Effect<{ readonly free: number; readonly of: number } | undefined> =>
  Effect.tryPromise(() => statfs(directory)).pipe(
    Effect.map(({ bavail, blocks, bsize }) => ({ free: bavail * bsize, of: blocks * bsize })),
    Effect.catch(() => (dirname(directory) === directory ? Effect.succeed(undefined) : freeAt(dirname(directory))))
  )

/** Where PostgreSQL's log of changes alone may take a gigabyte. */
export const leastRoom = 2_000_000_000

export const checkRoom = Effect.fnUntraced(function* (directory: string, least: number) {
  const room = yield* freeAt(directory)
  if (room === undefined) return []
  const found = `${bytesText(room.free)} of ${bytesText(room.of)} free at ${directory}`
  if (room.free < least) {
    return [
      failed(
        "disk",
        `${found}, and ${bytesText(least)} are wanted`,
        "make room, or choose another disk (PENSTOCK_DATA)"
      )
    ]
  }
  if (room.free < room.of / 20) return [warning("disk", found, "make room before PostgreSQL has to stop")]
  return [ok("disk", found)]
})

const kinds = ["LOOKUP_API_KEYS", "EVENT_API_KEYS", "READ_API_KEYS", "ADMIN_API_KEYS"] as const

export const checkKeys = Effect.gen(function* () {
  const of: Array<readonly [string, ReadonlyArray<ApiKey>]> = []
  for (const kind of kinds) of.push([kind, yield* Settings[kind].config])
  const missing = of.filter(([, keys]) => keys.length === 0).map(([kind]) => kind)
  const short = of.flatMap(([kind, keys]) =>
    keys.filter(({ key }) => Redacted.value(key).length < 16).map(({ name }) => `${name} of ${kind}`)
  )
  const findings: Array<Finding> = []
  if (short.length > 0) {
    findings.push(
      warning(
        "api keys",
        `shorter than 16 characters: ${short.join(", ")}`,
        "choose longer ones: openssl rand -base64 24"
      )
    )
  }
  if (missing.length > 0) {
    findings.push(
      warning("api keys", `none in ${missing.join(", ")}: nobody gets in there`, "set name:key for each caller")
    )
  }
  return findings.length > 0 ? findings : [ok("api keys", "one or more of each kind, none of them short")]
})
