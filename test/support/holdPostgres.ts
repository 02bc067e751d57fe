/**
 * A process that owns an embedded server, for tests that kill it: `node holdPostgres.ts <directory>`.
 *
 * Notes "held" in a table, says where the server is in one line of JSON, and waits. Asked to end it notes "drained"
 * before the server stops; killed, it cannot.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Layer, Redacted, References } from "effect"
import { startEmbeddedPostgres } from "../../layers/embedded/EmbeddedPostgres.ts"
import { withConnection } from "./adminConnection.ts"

const hold = Effect.gen(function* () {
  const { url } = yield* startEmbeddedPostgres({ directory: process.argv[2] ?? "" })
  const note = (what: string) => withConnection(url, (sql) => sql`INSERT INTO notes (what) VALUES (${what})`)
  yield* withConnection(url, (sql) => sql`DROP TABLE IF EXISTS notes`)
  yield* withConnection(url, (sql) => sql`CREATE TABLE notes (what text NOT NULL)`)
  yield* Effect.acquireRelease(note("held"), () => Effect.orDie(note("drained")))
  yield* Console.log(JSON.stringify({ url: Redacted.value(url) }))
  return yield* Effect.never
})

const services = Layer.merge(NodeServices.layer, Layer.succeed(References.MinimumLogLevel, "None"))

NodeRuntime.runMain(hold.pipe(Effect.scoped, Effect.provide(services)))
