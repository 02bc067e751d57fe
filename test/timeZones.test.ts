/**
 * The rules of dates hold whatever the process's time zone: their tests run in processes under three of them, one with half
 * hours and one across the date line.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const vitest = ["node_modules/vitest/vitest.mjs", "run", "--root", ".", "--config", "test/support/dateRules.vitest.ts"]

const run = Effect.gen(function* () {
  const { VITEST: _, ...environment } = process.env
  const child = yield* ChildProcess.make(process.execPath, [...vitest, "--reporter", "default"], {
    cwd: root,
    env: { ...environment, NO_COLOR: "1" },
    extendEnv: false,
    stderr: "inherit"
  })
  const read = Stream.mkString(Stream.decodeText(child.stdout))
  const [out, code] = yield* Effect.all([read, child.exitCode], { concurrency: 2 })
  return { out, code: Number(code) }
}).pipe(Effect.scoped)

layer(NodeServices.layer, { excludeTestServices: true })("the rules of dates", (it) => {
  it.effect(
    "hold under the time zones UTC, America/St_Johns and Pacific/Auckland",
    () =>
      Effect.gen(function* () {
        const { code, out } = yield* run
        assert.strictEqual(code, 0, out)
        for (const zone of ["UTC", "America/St_Johns", "Pacific/Auckland"]) {
          const files = out.split("\n").filter((line) => line.includes(".test.ts") && line.includes(zone))
          assert.lengthOf(files, 7, out)
        }
      }),
    120_000
  )
})
