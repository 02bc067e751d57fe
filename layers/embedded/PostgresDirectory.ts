/**
 * The data directory of the embedded PostgreSQL: found, judged, and made on the first start.
 *
 * PostgreSQL refuses to run as root. Where the service is root, the server runs as the owner of its data: a new one as
 * `postgres`, or else `nobody`. A checkout under /root is closed to both; then the data are kept in /var/lib/penstock,
 * and the directory asked for becomes a symbolic link to them.
 */
import { Effect, FileSystem, Option, Path } from "effect"
import { randomBytes, randomUUID } from "node:crypto"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { type Account, currentProcess, isAlive, may, run } from "./SystemProcess.ts"
import { type PostgresPrograms, systemDirectory } from "./PostgresPrograms.ts"

export interface PostgresDirectory {
  /** Without symbolic links, so that two servers on the same data are seen to be. */
  readonly directory: string
  readonly account: Account | undefined
  readonly isNew: boolean
}

/** The one role of the server. It owns everything: the server is Penstock's alone. */
export const superuser = "penstock"

/** Holds the password in libpq's own format, so that `psql` can be pointed at it. */
export const passwordFile = (directory: string) => `${directory}/penstock.pgpass`

const refuse = (reason: EmbeddedPostgresError["reason"], directory: string, message: string) =>
  Effect.fail(new EmbeddedPostgresError({ reason, directory, message }))

const exists = (file: string) => FileSystem.FileSystem.use((fs) => Effect.orElseSucceed(fs.exists(file), () => false))

/** No user is made for it: an entry in /etc/passwd is the operator's business. */
const findAccount = Effect.fnUntraced(function* (directory: string) {
  for (const name of ["postgres", "nobody"]) {
    const ids = yield* Effect.option(Effect.all([run("id", ["-u", name]), run("id", ["-g", name])]))
    if (Option.isSome(ids)) return { uid: Number(ids.value[0]), gid: Number(ids.value[1]) }
  }
  const message = "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as."
  return yield* refuse("NotPermitted", directory, `${message} Start as another user, or set DATABASE_URL.`)
})

/** The place itself, also where a symbolic link leads to nothing yet; the directory above it is made. */
const followLinks = Effect.fnUntraced(function* (requested: string) {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const link = yield* Effect.option(fs.readLink(requested))
  const target = Option.match(link, {
    onNone: () => requested,
    onSome: (to) => path.resolve(path.dirname(requested), to)
  })
  const parent = path.dirname(target)
  if (!(yield* exists(parent))) {
    yield* fs.makeDirectory(parent, { recursive: true })
    // Whatever the umask says: a server under another user must be able to pass.
    yield* fs.chmod(parent, 0o755)
  }
  const resolved = path.join(yield* fs.realPath(parent), path.basename(target))
  // A volume mounted right here can neither be renamed over nor is it empty (lost+found): go one deeper.
  const device = (of: string) => Effect.map(fs.stat(of), ({ dev }) => dev)
  const isMount =
    (yield* exists(resolved)) &&
    !(yield* exists(`${resolved}/PG_VERSION`)) &&
    (yield* device(resolved)) !== (yield* device(path.dirname(resolved)))
  return { directory: isMount ? path.join(resolved, "data") : resolved, isMovable: Option.isNone(link) && !isMount }
})

/** Where the data are or are to be, and as whom the server runs. Touches nothing that is there already. */
export const findPostgresDirectory = Effect.fn("PostgresDirectory.find")(function* (requested: string) {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const { directory, isMovable } = yield* followLinks(path.resolve(requested))
  const existing = yield* Effect.option(fs.stat(directory))
  const owner = Option.flatMap(existing, ({ uid, gid }) => Option.all({ uid, gid }))
  const isOwnedBy = (user: number | undefined) => Option.exists(owner, ({ uid }) => uid === user)
  const isRoot = process.getuid?.() === 0
  if (!isRoot && Option.isSome(owner) && !isOwnedBy(process.getuid?.())) {
    const message = `${directory} belongs to another user. Start as that user or as root, or choose another directory.`
    return yield* refuse("NotPermitted", directory, message)
  }
  const isNew = !(yield* exists(`${directory}/PG_VERSION`))
  if (isNew && Option.isSome(existing) && (yield* fs.readDirectory(directory)).length > 0) {
    const message = `${directory} holds something else than PostgreSQL's data. Choose another directory.`
    return yield* refuse("NotUsable", directory, message)
  }
  if (!isRoot) return { directory, isNew, account: undefined }
  if (!isNew && isOwnedBy(0)) {
    const message = `${directory} belongs to root, and PostgreSQL refuses to run as root.`
    return yield* refuse("NotPermitted", directory, `${message} Give it to another user (chown -R).`)
  }
  const account = isNew ? yield* findAccount(directory) : Option.getOrUndefined(owner)
  if (yield* isNew ? may(account, "-x", path.dirname(directory)) : may(account, "-w", directory)) {
    return { directory, isNew, account }
  }
  if (!isNew || !isMovable) {
    const message = `PostgreSQL refuses to run as root, and user ${account?.uid} cannot reach ${directory}.`
    return yield* refuse("NotPermitted", directory, `${message} Let others pass the directories above it (chmod o+x).`)
  }
  // Random rather than made from the path: a new checkout in an old place must not find the old one's data.
  const elsewhere = `${yield* systemDirectory}/${path.basename(directory)}-${randomUUID()}`
  yield* fs.remove(directory, { recursive: true, force: true })
  yield* fs.symlink(elsewhere, directory)
  return { directory: elsewhere, isNew, account }
})

/** Of starts that were killed half-way. The names tell whose they are: those of starts going on stay. */
const removeAbandonedWorkshops = Effect.fnUntraced(function* (directory: string) {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const [parent, prefix] = [path.dirname(directory), `${path.basename(directory)}.new-`]
  for (const name of yield* fs.readDirectory(parent)) {
    if (!name.startsWith(prefix)) continue
    const [pid, startedAt = ""] = name.slice(prefix.length).split("-")
    if (yield* isAlive({ pid: Number(pid), startedAt })) continue
    // An orphaned initdb may still be at work in it; then another start removes it.
    yield* Effect.ignore(fs.remove(path.join(parent, name), { recursive: true, force: true }))
  }
})

const openWorkshop = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { pid, startedAt } = yield* currentProcess
  const workshop = `${directory}.new-${pid}-${startedAt}-${randomUUID()}`
  yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(workshop, { recursive: true, force: true })))
  yield* fs.makeDirectory(workshop, { mode: 0o700 })
  return workshop
})

/**
 * Makes the data directory beside its place and moves it there when it is complete: a kill at any moment leaves none or
 * a whole one, and of two processes that do this at once one wins.
 */
const initialise = Effect.fnUntraced(function* (
  { directory, account }: PostgresDirectory,
  programs: PostgresPrograms,
  durable: boolean
) {
  const fs = yield* FileSystem.FileSystem
  const give = (file: string) => (account === undefined ? Effect.void : fs.chown(file, account.uid, account.gid))
  const workshop = yield* openWorkshop(directory)
  yield* give(workshop)

  const writeSecret = Effect.fnUntraced(function* (file: string, text: string) {
    yield* fs.writeFileString(file, text, { mode: 0o600 })
    yield* give(file)
  })
  const password = yield* Effect.sync(() => randomBytes(24).toString("base64url"))
  yield* writeSecret(`${workshop}/password`, password)
  yield* run(
    programs.initdb,
    [
      `--pgdata=${workshop}/data`,
      `--username=${superuser}`,
      // A password even on loopback: on a shared machine everybody can connect there.
      "--auth=scram-sha-256",
      `--pwfile=${workshop}/password`,
      // PostgreSQL's own collation: the order of text does not change with the machine's C library.
      "--encoding=UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-instructions",
      ...(durable ? [] : ["--no-sync"])
    ],
    account
  )
  yield* writeSecret(passwordFile(`${workshop}/data`), `*:*:*:${superuser}:${password}\n`)
  // Cannot replace a directory with something in it. If there is one now, another process was quicker.
  yield* fs
    .rename(`${workshop}/data`, directory)
    .pipe(
      Effect.catch((error) =>
        Effect.flatMap(exists(`${directory}/PG_VERSION`), (is) => (is ? Effect.void : Effect.fail(error)))
      )
    )
}, Effect.scoped)

/** Makes the data directory where there is none, and answers the password of its server. */
export const openPostgresDirectory = Effect.fn("PostgresDirectory.open")(function* (
  home: PostgresDirectory,
  programs: PostgresPrograms,
  durable: boolean
) {
  const fs = yield* FileSystem.FileSystem
  const { directory } = home
  yield* removeAbandonedWorkshops(directory)
  if (home.isNew) yield* initialise(home, programs, durable)
  const version = (yield* fs.readFileString(`${directory}/PG_VERSION`)).trim()
  if (version !== programs.major) {
    const message = `The data in ${directory} are PostgreSQL ${version}'s; this one is PostgreSQL ${programs.major}.`
    return yield* refuse("NotUsable", directory, `${message} Move them with pg_dump, or choose another directory.`)
  }
  const password = yield* Effect.option(fs.readFileString(passwordFile(directory)))
  if (Option.isSome(password)) return password.value.trim().split(":").slice(4).join(":")
  const message = `${passwordFile(directory)}, the password of the database, is missing.`
  return yield* refuse("NotUsable", directory, `${message} Restore it, or choose another directory.`)
})
