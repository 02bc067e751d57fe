/**
 * A block of a page as somebody who pastes it into a shell: what it prints, and that it ends well.
 */
import { Data, Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { dirname, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

/** The block ended with another code than 0; `message` is what it said. */
export class BlockFailed extends Data.TaggedError("BlockFailed")<{ readonly message: string }> {}

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

/** Runs the block with these variables, the Node.js of the tests being `node`; in the checkout, or in `cwd`. */
export const shellBlock = Effect.fnUntraced(function* (
  block: string,
  env: Readonly<Record<string, string>> = {},
  cwd: string = root
) {
  const child = yield* ChildProcess.make("sh", ["-euc", block], {
    cwd,
    env: { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`, ...env }
  })
  const [out, err, code] = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
    concurrency: "unbounded"
  })
  if (Number(code) !== 0) return yield* new BlockFailed({ message: `exit ${code}\n${err}\n${out}` })
  return out
}, Effect.scoped)

/** The variables that a block sets before its command: `A=1 B=2 npm start`. */
export const settingsOfBlock = (block: string): Readonly<Record<string, string>> =>
  Object.fromEntries([...block.matchAll(/(?<=^|\s)([A-Z_]+)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value]))
