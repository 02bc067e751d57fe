/**
 * What would stop the service only after its database is up, found at once and told in a sentence: a port that is taken, an
 * address that is not this machine's, a directory that cannot be written.
 */
import { Effect, FileSystem, Path } from "effect"
import { createServer } from "node:net"
import { Settings } from "../../layers/Settings.ts"
import { CommandFailed } from "./told.ts"

const listenFault = (host: string, port: number, code: string, by: string): string => {
  switch (code) {
    case "EADDRINUSE":
      return `Port ${port} is taken. Stop who listens there, or choose another one (${by}).`
    case "EACCES":
      return `Port ${port} may not be opened by this user. Choose one above 1023 (${by}).`
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `${host} is no address of this machine (HTTP_HOST).`
    default:
      return `${host}:${port} cannot be listened at (${code}; HTTP_HOST, ${by}).`
  }
}

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown"

/** What the failure of a server that wanted to listen means. */
export const cannotListen = (host: string, port: number, cause: unknown, by = "HTTP_PORT") =>
  new CommandFailed({ message: listenFault(host, port, codeOf(cause), by) })

/** Listens for a moment, as the service will. `by` says what another port is chosen by. */
export const requirePort = (host: string, port: number, by = "HTTP_PORT") =>
  Effect.callback<void, CommandFailed>((resume) => {
    const probe = createServer()
    probe.once("error", (error) => resume(Effect.fail(cannotListen(host, port, error, by))))
    probe.listen({ host, port }, () => {
      probe.close(() => resume(Effect.void))
    })
  })

/** The directory, or what is there above it, must be one and be writable; tried by making one, which is removed again. */
export const requireWritable = Effect.fnUntraced(function* (directory: string, name: string) {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const wanted = path.resolve(directory)
  let there = wanted
  while (!(yield* Effect.orElseSucceed(fs.exists(there), () => false)) && path.dirname(there) !== there) {
    there = path.dirname(there)
  }
  const refuse = (why: string) =>
    new CommandFailed({ message: `${wanted} cannot be written: ${why}. Choose another directory (${name}).` })
  const isDirectory = yield* Effect.match(fs.stat(there), {
    onSuccess: ({ type }) => type === "Directory",
    onFailure: () => false
  })
  if (!isDirectory) return yield* refuse(`${there} is not a directory`)
  const next = wanted === there ? undefined : path.join(there, path.relative(there, wanted).split(path.sep)[0] ?? "")
  const trial = next ?? path.join(there, `.penstock-${process.pid}`)
  // Not with all that is above it: Node never comes back from that in a file system such as /proc.
  yield* Effect.mapError(Effect.andThen(fs.makeDirectory(trial), fs.remove(trial, { recursive: true })), () =>
    refuse(`${there} is not this user's to write, or its file system is read-only`)
  )
})

/** All of it, for the settings. */
export const requireRoomToStart = Effect.gen(function* () {
  yield* requirePort(yield* Settings.HTTP_HOST.config, yield* Settings.HTTP_PORT.config)
  if ((yield* Settings.DATABASE_URL.config) !== undefined) return
  yield* requireWritable(yield* Settings.PENSTOCK_DATA.config, "PENSTOCK_DATA")
})
