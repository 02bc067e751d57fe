/** `penstock` in a checkout, which Node.js must read as it is written: types and all, a thousand files. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { place } from "../support/runCommand.ts"

/** What Node.js says of its compile cache. */
const start = Effect.gen(function* () {
  const child = yield* ChildProcess.make(process.execPath, [place("bin/penstock.js"), "--version"], {
    env: { PATH: process.env["PATH"], NODE_DEBUG_NATIVE: "COMPILE_CACHE" },
    extendEnv: false
  })
  const [said] = yield* Effect.all(
    [Stream.mkString(Stream.decodeText(child.stderr)), Stream.runDrain(child.stdout), child.exitCode],
    { concurrency: "unbounded" }
  )
  return said
}).pipe(Effect.scoped)

layer(NodeServices.layer, { excludeTestServices: true })("penstock in a checkout", (it) => {
  it.effect("does not compile its sources again that it has compiled before", () =>
    Effect.gen(function* () {
      yield* start
      const said = yield* start
      assert.match(said, /retrieving transpile cache for StrippedTypeScript \S*scripts\/penstock\.ts\.\.\.success/)
      assert.match(said, /V8 code cache for ESM \S*scripts\/penstock\.ts was accepted/)
    })
  )
})
