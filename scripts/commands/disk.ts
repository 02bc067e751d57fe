/** `penstock disk`: what takes the room, and how fast it grows. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { readDiskUse } from "../../layers/postgres/diskUse.ts"
import { Settings } from "../../layers/Settings.ts"
import { bytesText, freeAt } from "../doctor/checkMachine.ts"
import { Json } from "./globalFlags.ts"
import { type Cell, print, printJson, printTable } from "./output.ts"
import { embeddedDirectory, withDatabase } from "./withDatabase.ts"

export const disk = Command.make("disk", {}, () =>
  withDatabase(
    Effect.gen(function* () {
      const { uses, whole } = yield* readDiskUse
      // How much is free on the disk of another machine, its server does not say.
      const room =
        (yield* Settings.DATABASE_URL.config) === undefined ? yield* freeAt(yield* embeddedDirectory) : undefined
      const grows = uses.reduce((sum, { bytesPerDay = 0 }) => sum + bytesPerDay, 0)
      if (yield* Json) {
        return yield* printJson([
          ...uses.map(({ bytes, bytesPerDay, what }) => ({ what, bytes, bytes_per_day: bytesPerDay ?? null })),
          { what: "whole database", bytes: whole, bytes_per_day: grows, free_bytes: room?.free ?? null }
        ])
      }
      const row = (what: string, bytes: number, perDay: number | undefined): ReadonlyArray<Cell> => [
        what,
        bytesText(bytes),
        `${Math.round((100 * bytes) / Math.max(1, whole))} %`,
        perDay === undefined ? null : bytesText(perDay)
      ]
      yield* printTable(
        ["what", "size", "share", "grows by, a day"],
        [
          ...uses.map(({ bytes, bytesPerDay, what }) => row(what, bytes, bytesPerDay)),
          row("whole database", whole, grows)
        ]
      )
      if (room === undefined) return
      const days = grows === 0 ? Infinity : room.free / grows
      const last = days > 3_650 ? "" : `: for ${Math.floor(days)} days at that pace`
      yield* print(`${bytesText(room.free)} of its disk are free${last}.`)
    })
  )
).pipe(
  Command.withDescription("Show what takes the room, and how fast it grows (by the last seven days, estimated)"),
  Command.withExamples([{ command: "penstock disk", description: "Before a disk is full" }])
)
