/**
 * Loaded into an instance before anything else (`node --import`), and into nothing but an instance of `npm run chaos`: a clock that
 * its parent sets wrong, the migrations of a version that does not exist yet, and a promise broken on purpose.
 *
 * The clock is the wall clock alone (`Date`), as when somebody sets it: what measures how long something takes goes on, and so do
 * timers.
 */
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import { migrations } from "../../migrations/allMigrations.ts"
import { statements } from "../../migrations/statements.ts"
import { breakNamed } from "./breaks.ts"

let off = 0
const RealDate = Date
const now = RealDate.now.bind(RealDate)
RealDate.now = () => now() + off
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [Date.now()] : args, newTarget),
  apply: () => new RealDate(now() + off).toString()
})
process.on("message", (message) => {
  // The processes of an instance talk to each other in the same way.
  const { clockOff } = message as { readonly clockOff?: number }
  if (clockOff !== undefined) off = clockOff
})
// To be told things must not keep it from ending.
process.channel?.unref()

/** What a later version might bring: a column and an index of a table that is written all the time, and a table of its own. */
const laterMigration = (version: number) =>
  statements(
    `ALTER TABLE hilltop_fetch_tasks ADD COLUMN chaos_${version} text`,
    `ALTER TABLE flex.accounting_point_sync ADD COLUMN chaos_${version} integer NOT NULL DEFAULT ${version}`,
    `CREATE TABLE chaos_${version} (id bigint PRIMARY KEY, note text)`
  )
for (let version = 1; version <= Number(process.env["CHAOS_VERSION"] ?? 0); version++) {
  Object.assign(migrations, { [`${9_000 + version}_chaos`]: laterMigration(version) })
}

const root = fileURLToPath(new URL("../..", import.meta.url))
const broken = breakNamed(process.env["CHAOS_BREAK"])
if (broken !== undefined) {
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context)
      const edits = url.startsWith("file:") ? broken(fileURLToPath(url).slice(root.length)) : undefined
      if (edits === undefined) return loaded
      return { ...loaded, source: edits(String(loaded.source)) }
    }
  })
}
