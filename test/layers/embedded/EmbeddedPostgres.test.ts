/**
 * The embedded server as its users meet it: started, stopped, killed, and found in use. Real processes, the real clock.
 *
 * The tests of `data that are there` follow each other on one directory, because making one takes longer than all else.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Redacted, References, Schedule, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import { type EmbeddedPostgresError, startEmbeddedPostgres } from "../../../layers/embedded/EmbeddedPostgres.ts"
import { withConnection } from "../../support/adminConnection.ts"

const services = Layer.merge(NodeServices.layer, Layer.succeed(References.MinimumLogLevel, "Error"))

/** Not there yet, and with a blank in its path. */
const newDirectory = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const home = yield* fs.makeTempDirectoryScoped({ prefix: "penstock test " })
  // As root the server runs as another user, who must be able to pass.
  yield* fs.chmod(home, 0o711)
  return `${yield* fs.realPath(home)}/.penstock/postgres`
})

/** One in which a server has run before. */
class UsedDirectory extends Context.Service<UsedDirectory, string>()("penstock/test/layers/UsedDirectory") {
  static readonly layer = Layer.effect(
    UsedDirectory,
    Effect.tap(newDirectory, (directory) => Effect.scoped(startEmbeddedPostgres({ directory, durable: false })))
  ).pipe(Layer.provideMerge(services))
}

const writeNote = (url: Redacted.Redacted, what: string) =>
  withConnection(url, (sql) =>
    Effect.andThen(sql`DROP TABLE IF EXISTS notes`, sql`CREATE TABLE notes AS SELECT ${what}::text AS what`)
  )

const readNotes = (url: Redacted.Redacted) =>
  Effect.map(
    withConnection(url, (sql) => sql<{ what: string }>`SELECT what FROM notes`),
    (rows) => rows.map(({ what }) => what)
  )

const serverProcess = (directory: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(`${directory}/postmaster.pid`)).pipe(
    Effect.map((text) => Number(text.split("\n")[0]))
  )

/** Signal 0 asks whether there is such a process. */
const isRunning = (pid: number) => Effect.isSuccess(Effect.try(() => process.kill(pid, 0)))

const HeldServer = Schema.fromJsonString(Schema.Struct({ url: Schema.String }))

/** A server that belongs to another process. */
const startElsewhere = Effect.fnUntraced(function* (directory: string) {
  const script = fileURLToPath(new URL("../../support/holdPostgres.ts", import.meta.url))
  const owner = yield* ChildProcess.make(process.execPath, [script, directory], { stderr: "inherit" })
  const [line = "it did not start"] = yield* owner.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.take(1),
    Stream.runCollect
  )
  const { url } = yield* Schema.decodeEffect(HeldServer)(line)
  return { owner, url: Redacted.make(url), server: yield* serverProcess(directory) }
})

layer(services, { excludeTestServices: true })("EmbeddedPostgres in a new directory", (it) => {
  it.effect("makes PostgreSQL 18 with a database of Penstock's and says where it is", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* newDirectory
      const server = yield* startEmbeddedPostgres({ directory, durable: false })
      const [row] = yield* withConnection(
        server.url,
        (sql) => sql<{ version: string; name: string }>`SELECT version(), current_database() AS name`
      )
      assert.match(row?.version ?? "", /^PostgreSQL 18\./)
      assert.strictEqual(row?.name, "penstock")
      assert.strictEqual(server.directory, directory)
      assert.include(yield* fs.readFileString(server.log), "ready to accept connections")

      const password = new URL(Redacted.value(server.url)).password
      assert.isAtLeast(password.length, 32)
      assert.notInclude(server.psql, password)
      const file = decodeURIComponent(/passfile=([^']+)'/.exec(server.psql)?.[1] ?? "")
      assert.include(yield* fs.readFileString(file), password)
      assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
      assert.strictEqual((yield* fs.stat(directory)).mode & 0o777, 0o700)
    })
  )

  it.effect("lets one of two win that start at once", () =>
    Effect.gen(function* () {
      const directory = yield* newDirectory
      const starts = [1, 2].map(() => Effect.result(startEmbeddedPostgres({ directory, durable: false })))
      const results = yield* Effect.all(starts, { concurrency: "unbounded" })
      const ends = results.map((result) => (result._tag === "Success" ? "started" : result.failure.reason))
      assert.deepStrictEqual(ends.toSorted(), ["AlreadyInUse", "started"])
    })
  )

  it.effect("touches nothing when the directory holds something else", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* newDirectory
      yield* fs.makeDirectory(directory, { recursive: true })
      yield* fs.writeFileString(`${directory}/letter.txt`, "Dear Sir,")
      const refused = yield* Effect.flip(startEmbeddedPostgres({ directory }))
      assert.strictEqual(refused.reason, "NotUsable")
      assert.deepStrictEqual(yield* fs.readDirectory(directory), ["letter.txt"])
    })
  )
})

layer(UsedDirectory.layer, { excludeTestServices: true })("EmbeddedPostgres on data that are there", (it) => {
  it.effect("stops with its scope and keeps its data", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* UsedDirectory
      const server = yield* Effect.gen(function* () {
        const { url } = yield* startEmbeddedPostgres({ directory })
        yield* writeNote(url, "kept")
        return yield* serverProcess(directory)
      }).pipe(Effect.scoped)
      assert.isFalse(yield* isRunning(server))
      assert.isFalse(yield* fs.exists(`${directory}/postmaster.pid`), "it was shut down, not killed")
      const { url } = yield* startEmbeddedPostgres({ directory })
      assert.deepStrictEqual(yield* readNotes(url), ["kept"])
    })
  )

  it.effect("refuses a directory in use, names the process, and leaves its server alone", () =>
    Effect.gen(function* () {
      const directory = yield* UsedDirectory
      const held = yield* startElsewhere(directory)
      const refused = yield* Effect.flip(startEmbeddedPostgres({ directory }))
      assert.strictEqual(refused.reason satisfies EmbeddedPostgresError["reason"], "AlreadyInUse")
      assert.include(refused.message, `${directory} is already in use by process ${held.owner.pid}.`)
      assert.strictEqual(yield* serverProcess(directory), held.server)
      assert.deepStrictEqual(yield* readNotes(held.url), ["held"])
    })
  )

  it.effect("has all that was committed when its owner was killed, and no old server in its way", () =>
    Effect.gen(function* () {
      const directory = yield* UsedDirectory
      const { owner, server } = yield* startElsewhere(directory)
      yield* owner.kill({ killSignal: "SIGKILL" })
      const { url } = yield* startEmbeddedPostgres({ directory })
      assert.deepStrictEqual(yield* readNotes(url), ["held"])
      assert.isFalse(yield* isRunning(server))
    })
  )

  it.effect("leaves nothing running when its owner was killed and nobody starts it again", () =>
    Effect.gen(function* () {
      const { owner, server } = yield* startElsewhere(yield* UsedDirectory)
      yield* owner.kill({ killSignal: "SIGKILL" })
      yield* isRunning(server).pipe(
        Effect.repeat({ until: (running) => !running, schedule: Schedule.spaced("10 millis") }),
        Effect.timeout("15 seconds")
      )
    })
  )

  it.effect("serves until its owner has drained, although a Ctrl-C goes to the terminal's whole process group", () =>
    Effect.gen(function* () {
      const directory = yield* UsedDirectory
      const { owner } = yield* startElsewhere(directory)
      // The spawner's `kill` signals the group.
      yield* owner.kill({ killSignal: "SIGINT" })
      const { url } = yield* startEmbeddedPostgres({ directory })
      assert.deepStrictEqual(yield* readNotes(url), ["held", "drained"])
    })
  )

  it.effect("is back at its address with its data when the server itself was killed", () =>
    Effect.gen(function* () {
      const directory = yield* UsedDirectory
      const { url } = yield* startEmbeddedPostgres({ directory })
      yield* writeNote(url, "committed")
      const server = yield* serverProcess(directory)
      yield* Effect.try(() => process.kill(server, "SIGKILL"))
      // Refused at first, then told that the server is starting up: not all of that counts as retryable.
      const notes = readNotes(url).pipe(Effect.retry(Schedule.spaced("20 millis")), Effect.timeout("15 seconds"))
      assert.deepStrictEqual(yield* notes, ["committed"])
      assert.notStrictEqual(yield* serverProcess(directory), server)
    })
  )

  it.effect("does not take another process for the server because it has got its number", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* UsedDirectory
      yield* fs.writeFileString(`${directory}/postmaster.pid`, `${process.pid}\n${directory}\n`)
      yield* startEmbeddedPostgres({ directory })
      assert.notStrictEqual(yield* serverProcess(directory), process.pid)
    })
  )

  it.effect("lets nobody in without the password", () =>
    Effect.gen(function* () {
      const { url } = yield* startEmbeddedPostgres({ directory: yield* UsedDirectory })
      const guess = new URL(Redacted.value(url))
      guess.password = "guess"
      const refused = yield* Effect.flip(withConnection(Redacted.make(guess.href), (sql) => sql`SELECT 1`))
      assert.strictEqual(refused.reason._tag, "AuthenticationError")
    })
  )

  // The last one: the data cannot be used after it.
  it.effect("refuses the data of another major version", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* UsedDirectory
      yield* fs.writeFileString(`${directory}/PG_VERSION`, "17\n")
      const refused = yield* Effect.flip(startEmbeddedPostgres({ directory }))
      assert.strictEqual(refused.reason, "NotUsable")
      assert.include(refused.message, "PostgreSQL 17")
    })
  )
})
