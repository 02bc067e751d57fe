/**
 * A server of another PostgreSQL than the embedded one, from the programs in a directory such as /usr/lib/postgresql/15/bin:
 * what is promised for 15 and later is seen on each of them.
 *
 * Started as the embedded one is, under another user where this one is root, and gone with its scope. Only its data are made
 * another way: the collation that PostgreSQL brings itself came with version 17.
 */
import { Effect, FileSystem, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { findPostgresDirectory } from "../../layers/embedded/PostgresDirectory.ts"
import { launchServer } from "../../layers/embedded/PostgresServer.ts"
import { currentProcess, run } from "../../layers/embedded/SystemProcess.ts"
import { freePort } from "../../layers/embedded/freePort.ts"

const user = "penstock"

/** Its address. The directory is made; the one above it is there, and open for all to pass. */
export const startOtherPostgres = Effect.fnUntraced(function* (programs: string, requested: string) {
  const fs = yield* FileSystem.FileSystem
  const { account, directory } = yield* findPostgresDirectory(requested)
  const password = randomUUID()
  const passwordFile = `${requested}.password`
  yield* fs.writeFileString(passwordFile, password, { mode: 0o600 })
  yield* fs.makeDirectory(directory, { mode: 0o700 })
  if (account !== undefined) {
    for (const file of [passwordFile, directory]) yield* fs.chown(file, account.uid, account.gid)
  }
  const initdb = [
    `--pgdata=${directory}`,
    `--username=${user}`,
    "--auth=scram-sha-256",
    `--pwfile=${passwordFile}`,
    "--encoding=UTF8",
    "--locale=C",
    "--no-instructions",
    "--no-sync"
  ]
  yield* run(`${programs}/initdb`, initdb, account)
  const port = yield* freePort
  const owner = { ...(yield* currentProcess), token: randomUUID().replaceAll("-", "") }
  const log = `${requested}.log`
  yield* launchServer({ postgres: `${programs}/postgres`, directory, account, log, durable: false, owner }, port)
  return Redacted.make(`postgres://${user}:${password}@127.0.0.1:${port}/postgres`)
})
