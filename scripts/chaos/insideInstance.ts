/**
 * Loaded into each process of an instance before anything else (`node --import`), and into nothing but an instance of `npm run chaos`:
 * a clock that its parent sets wrong, the migrations of a version that does not exist yet, what is in a hurry, and a promise broken
 * on purpose.
 *
 * The clock is the wall clock alone (`Date`), as when somebody sets it: what measures how long something takes goes on, and so do
 * timers. The processes of an instance have one machine, so the further ones get the clock of the first.
 */
import childProcess, { type ChildProcess } from "node:child_process"
import { registerHooks, syncBuiltinESMExports } from "node:module"
import { fileURLToPath } from "node:url"
import { migrations } from "../../migrations/allMigrations.ts"
import { statements } from "../../migrations/statements.ts"
import { breakNamed } from "./breaks.ts"
import { hurried } from "./hurried.ts"

let off = 0
const RealDate = Date
const now = RealDate.now.bind(RealDate)
RealDate.now = () => now() + off
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [Date.now()] : args, newTarget),
  apply: () => new RealDate(now() + off).toString()
})
const further = new Set<ChildProcess>()
const tellClock = (child: ChildProcess) => child.connected && child.send({ clockOff: off }, () => {})
process.on("message", (message) => {
  // The processes of an instance talk to each other in the same way.
  const { clockOff } = message as { readonly clockOff?: number }
  if (clockOff === undefined) return
  off = clockOff
  further.forEach(tellClock)
})
// To be told things must not keep it from ending.
process.channel?.unref()
const { fork } = childProcess
childProcess.fork = ((...args: Parameters<typeof fork>) => {
  const child = fork(...args)
  further.add(child)
  child.once("exit", () => further.delete(child))
  if (off !== 0) tellClock(child)
  return child
}) as typeof fork
syncBuiltinESMExports()

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
registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context)
    if (!url.startsWith("file:")) return loaded
    const file = fileURLToPath(url).slice(root.length)
    const edits = [hurried(file), broken?.(file)].filter((edit) => edit !== undefined)
    if (edits.length === 0) return loaded
    return { ...loaded, source: edits.reduce((source, edit) => edit(source), String(loaded.source)) }
  }
})
