/**
 * A real pgbouncer in front of the test server, where one is installed (`apt-get install pgbouncer`), with its defaults but for
 * what it needs to run at all and what the test asks for.
 */
import { Effect, Redacted } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { freePort } from "../../layers/embedded/freePort.ts"

const path = `${process.env["PATH"]}:/usr/sbin`

export const hasPgbouncer = spawnSync("pgbouncer", ["--version"], { env: { PATH: path } }).status === 0

const answers = (port: number) =>
  Effect.callback<void, "not yet">((resume) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("connect", () => resume(Effect.void))
    socket.once("error", () => resume(Effect.fail("not yet" as const)))
    return Effect.sync(() => socket.destroy())
  })

/** Its address for the database, until the scope closes. Whoever connects is let in as the role of the address. */
export const pgbouncer = Effect.fnUntraced(function* (
  database: Redacted.Redacted,
  settings: ReadonlyArray<string> = []
) {
  const to = new URL(Redacted.value(database))
  const port = yield* freePort
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(`${tmpdir()}/penstock-pgbouncer-`)),
    (made) => Effect.sync(() => rmSync(made, { recursive: true }))
  )
  const file = `${directory}/pgbouncer.ini`
  const target = `host=${to.hostname} port=${to.port} dbname=${to.pathname.slice(1)}`
  const login = `user=${decodeURIComponent(to.username)} password='${decodeURIComponent(to.password)}'`
  const lines = ["[databases]", `penstock = ${target} ${login}`, "[pgbouncer]", "listen_addr = 127.0.0.1"]
  lines.push(`listen_port = ${port}`, "unix_socket_dir =", "auth_type = any", ...settings)
  writeFileSync(file, `${lines.join("\n")}\n`)
  chmodSync(directory, 0o711)
  chmodSync(file, 0o644)
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      // It refuses to run as root.
      const account = process.getuid?.() === 0 ? ["-u", "nobody"] : []
      return spawn("pgbouncer", ["-q", ...account, file], { env: { PATH: path }, stdio: "ignore" })
    }),
    (child) =>
      Effect.callback<void>((resume) => {
        child.once("close", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )
  yield* answers(port).pipe(Effect.retry({ times: 1000 }), Effect.orDie)
  return Redacted.make(`postgresql://anyone@127.0.0.1:${port}/penstock`)
})
