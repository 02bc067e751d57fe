/** Connections of kafkajs in a process of their own, as it was installed and with the cure: sockets that many requests open. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { resolve } from "node:path"

const root = resolve(import.meta.dirname, "../../..")

/** Five that find the connection closed; how many sockets the server has when all are connected, and after another five. */
const script = (cure: string) => `
  import { createRequire } from "node:module"
  import { createServer, connect } from "node:net"
  ${cure}
  const Connection = createRequire("${root}/package.json")("kafkajs/src/network/connection.js")
  const none = () => {}
  const logger = { namespace: () => ({ debug: none, info: none, warn: none, error: none }) }
  let accepted = 0
  const server = createServer(() => accepted++)
  server.listen(0, "127.0.0.1", async () => {
    const connection = new Connection({
      host: "127.0.0.1",
      port: server.address().port,
      logger,
      connectionTimeout: 5000,
      requestTimeout: 5000,
      socketFactory: ({ host, port, onConnect }) => connect({ host, port }, onConnect)
    })
    const five = () => Promise.all([1, 2, 3, 4, 5].map(() => connection.connect()))
    const counted = async () => {
      await five()
      // All that was opened before is accepted by the time that this one is.
      await new Promise((done) => connect(server.address().port, "127.0.0.1", () => setTimeout(done, 50)))
      return accepted
    }
    const first = await counted()
    await connection.disconnect()
    const second = await counted()
    console.log(JSON.stringify([first - 1, second - first - 1]))
    process.exit(0)
  })`

const run = (cure: string) =>
  Effect.callback<ReadonlyArray<number>>((resume) => {
    const args = ["--input-type=module", "--eval", script(cure)]
    execFile(process.execPath, args, { cwd: root }, (error, stdout) =>
      resume(error === null ? Effect.succeed(JSON.parse(stdout)) : Effect.die(error))
    )
  })

describe("a closed connection of kafkajs", () => {
  it.effect("is opened by each request anew as it was installed: should this fail, the cure may go", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(""), [5, 5])
    })
  )

  it.effect("is opened once for all that wait for it, with the cure", () =>
    Effect.gen(function* () {
      const cure = `import { cureKafkajsConnect } from "${root}/layers/kafka/kafkajsConnect.ts"; cureKafkajsConnect()`
      assert.deepStrictEqual(yield* run(cure), [1, 1])
    })
  )
})
