/**
 * kafkajs's request queue in a process of its own, as it was installed and with the cure: how often it wakes up while it
 * has nothing to do, and whether Node complains.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { resolve } from "node:path"

const root = resolve(import.meta.dirname, "../../..")

/** A queue that got one answer and is left alone for half a second; how many timers of the past it asked for, and how many in all. */
const script = (cure: string) => `
  import { createRequire } from "node:module"
  ${cure}
  const load = createRequire("${root}/package.json")
  const Queue = load("kafkajs/src/network/requestQueue/index.js")
  const logger = { debug() {}, warn() {} }
  const queue = new Queue({ maxInFlightRequests: null, requestTimeout: 1000, enforceRequestTimeout: false, clientId: "c", broker: "b", logger })
  let all = 0
  let past = 0
  const original = globalThis.setTimeout
  globalThis.setTimeout = (run, delay) => {
    all++
    if (delay < 0) past++
    return original(run, delay)
  }
  queue.push({ entry: { correlationId: 1, resolve() {}, reject() {} }, expectResponse: true, sendRequest() {} })
  queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 })
  original(() => {
    console.log(JSON.stringify({ all, past }))
    process.exit(0)
  }, 500)`

const run = (cure: string) =>
  Effect.callback<{ readonly all: number; readonly past: number; readonly complaint: string }>((resume) => {
    const args = ["--input-type=module", "--eval", script(cure)]
    execFile(process.execPath, args, { cwd: root }, (error, stdout, stderr) =>
      resume(error === null ? Effect.succeed({ ...JSON.parse(stdout), complaint: stderr }) : Effect.die(error))
    )
  })

describe("the timers of kafkajs", () => {
  it.effect("are armed for ever as it was installed: should this fail, the cure may go", () =>
    Effect.gen(function* () {
      const { complaint, past } = yield* run("")
      assert.isAbove(past, 50)
      assert.include(complaint, "TimeoutNegativeWarning")
    })
  )

  it.effect("rest while nothing is pending, with the cure", () =>
    Effect.gen(function* () {
      const cured = yield* run(
        `import { cureKafkajsTimers } from "${root}/layers/kafka/kafkajsTimers.ts"; cureKafkajsTimers()`
      )
      assert.deepStrictEqual(cured, { all: 0, past: 0, complaint: "" })
    })
  )
})
