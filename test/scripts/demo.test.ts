/**
 * The demo in a real terminal of 80 by 24, twice on the same data: what is seen on it, what is left of it, and that the second
 * shows what the first did.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Data, Effect, FileSystem, Layer, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { freePort } from "../../layers/embedded/freePort.ts"
import { hasTerminal, inTerminal, screenAfter, type Terminal } from "../support/inTerminal.ts"
import { jsonLines, runCommand } from "../support/runCommand.ts"

const sleepless = { schedule: Schedule.upTo(Schedule.spaced("200 millis"), { duration: "100 seconds" }) }

class NotShown extends Data.TaggedError("NotShown")<{ readonly message: string }> {}

/** Waits until the screen says so, and answers the screen. */
const untilShown = (terminal: Terminal, wanted: RegExp) =>
  Effect.suspend(() => {
    const seen = screenAfter(terminal.written())
    return wanted.test(seen.lines.join("\n"))
      ? Effect.succeed(seen)
      : Effect.fail(new NotShown({ message: seen.lines.join("\n") }))
  }).pipe(Effect.retry(sleepless))

interface Unit {
  readonly id: string
  readonly point: number
}
const idsOf = (units: ReadonlyArray<Unit>) => units.map(({ id }) => id)

/** Beside the demo, as the command line would be. */
const unitsIn = Effect.fnUntraced(function* (data: string) {
  const { findRunningPostgres } = yield* Effect.promise(() => import("../../layers/embedded/RunningPostgres.ts"))
  const { withConnection } = yield* Effect.promise(() => import("../support/adminConnection.ts"))
  const url = yield* Effect.flatMap(findRunningPostgres(`${data}/postgres`), Effect.fromOption)
  return yield* withConnection(
    url,
    (sql) =>
      sql<Unit>`SELECT business_id::text AS id, accounting_point_id AS point FROM flex.controllable_unit ORDER BY id`
  )
})

const services = Layer.merge(NodeServices.layer, NodeHttpClient.layerUndici)

/** Reported as skipped where there is no `script` of util-linux. */
layer(services, { excludeTestServices: true })("the demo in a terminal", (it) => {
  it.effect.skipIf(!hasTerminal)(
    "fits the terminal, leaves it as it was, and goes on with the same units and sources",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const home = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })
        // As root the server runs as another user, who must be able to pass.
        yield* fs.chmod(home, 0o711)
        const data = `${home}/demo`
        const run = Effect.fnUntraced(function* () {
          const port = yield* freePort
          const terminal = yield* inTerminal({}, ["demo", "--data", data, "--port", String(port)])
          const { isAlternate, lines, scrolled } = yield* untilShown(
            terminal,
            /, (?:[2-9]\d|\d{3}) controllable units\n/
          )
          assert.isTrue(isAlternate)
          assert.strictEqual(scrolled, 0, "nothing was pushed out of sight")
          assert.match(lines[0] ?? "", /^Penstock's demo\. Ctrl-C ends it\. +\d+ s since the start$/)
          const keys = /^http:\/\/127\.0\.0\.1:(\d+)\/#read=([\w-]+)&admin=([\w-]+)$/.exec(lines[1] ?? "")
          assert.strictEqual(keys?.[1], String(port))
          assert.include(lines.join("\n"), "3 sources")
          assert.include(lines.join(""), `${data}/try.txt`)
          const request = HttpClientRequest.get(`http://127.0.0.1:${port}/hilltop/source`)
          const client = yield* HttpClient.HttpClient
          const answer = yield* client.execute(HttpClientRequest.bearerToken(request, keys?.[3] ?? ""))
          assert.strictEqual(answer.status, 200, "the keys of the page's address open it")
          const listed = (yield* answer.json) as unknown as {
            readonly items: ReadonlyArray<{ readonly id: number; readonly hts_url: string; readonly paused: boolean }>
          }
          const units = yield* unitsIn(data)
          yield* terminal.pressCtrlC
          assert.strictEqual(yield* terminal.exitCode, 0)
          const after = screenAfter(terminal.written())
          assert.isFalse(after.isAlternate)
          const left = terminal.written().split("\u001b[?1049l").at(-1) ?? ""
          assert.notInclude(left, "\u001b", "what is left is text")
          assert.match(left, /It used \d+(?:\.\d)? MB on disk\. Its data stay/)
          assert.match(left, new RegExp(`To remove them: rm -r ${data}`))
          const before = terminal.written().split("\u001b[?1049h")[0] ?? ""
          assert.strictEqual(before.trim(), "", "nothing comes before the alternate screen")
          return { units, sources: listed.items.map(({ hts_url, id, paused }) => ({ hts_url, id, paused })) }
        }, Effect.scoped)
        const first = yield* run()
        const second = yield* run()
        assert.deepStrictEqual(second.sources, first.sources)
        assert.includeMembers(idsOf(second.units), idsOf(first.units))
        const points = second.units.map(({ point }) => point)
        assert.strictEqual(new Set(points).size, points.length, "one unit for each accounting point, as before")
      }).pipe(Effect.scoped),
    240_000
  )
})

layer(services, { excludeTestServices: true })("the demo for programs", (it) => {
  it.effect(
    "prints objects, and at the end how much disk it used",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const home = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })
        yield* fs.chmod(home, 0o711)
        const port = yield* freePort
        const args = ["demo", "--json", "--minutes", "0.1", "--data", `${home}/demo`, "--port", String(port)]
        const { code, out } = yield* runCommand({}, ...args)
        assert.strictEqual(code, 0)
        const objects = jsonLines(out)
        assert.match(String(objects[0]?.["page"]), /\/#read=[\w-]+&admin=[\w-]+$/)
        assert.deepInclude(objects.at(-1), { ended: true })
        assert.isAbove(Number(objects.at(-1)?.["disk_bytes"]), 10_000_000)
      }).pipe(Effect.scoped),
    120_000
  )
})
