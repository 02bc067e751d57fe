/**
 * The programs of a PostgreSQL that is installed here, its tools among them, for tests of what operators do with those: the
 * embedded one has none. `PENSTOCK_TEST_POSTGRES` names their directory; else they are looked for where Debian and others have them.
 */
import { execFileSync } from "node:child_process"
import { existsSync, globSync } from "node:fs"

const needed = ["initdb", "postgres", "pg_dump", "pg_restore", "psql", "vacuumdb"]

const pathOf = (directory: string | undefined) =>
  directory !== undefined && needed.every((name) => existsSync(`${directory}/${name}`)) ? directory : undefined

const asPgConfigSays = (): string | undefined => {
  try {
    return execFileSync("pg_config", ["--bindir"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return undefined
  }
}

/** Their directory, the newest first; none where one of them is missing. */
export const postgresPrograms: string | undefined = [
  process.env["PENSTOCK_TEST_POSTGRES"],
  asPgConfigSays(),
  ...globSync(["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"])
    .toSorted()
    .toReversed()
]
  .map(pathOf)
  .find((directory) => directory !== undefined)

export const missingPrograms = `skipped: no directory has all of ${needed.join(", ")}`
