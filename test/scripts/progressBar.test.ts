/** What a command shows on a terminal while it takes long, and that it leaves nothing of it behind. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { lineOf } from "../../scripts/commands/ProgressBar.ts"
import { hasTerminal, inTerminal, screenAfter } from "../support/inTerminal.ts"

describe("the line of a progress bar", () => {
  it("shows how far it is where it is known how much there is, else the time that has passed", () => {
    assert.strictEqual(lineOf({ what: "Opens the database" }, 2.9), "Opens the database  2 s")
    assert.strictEqual(
      lineOf({ what: "Reads", done: 30, of: 120, note: "about 9s left" }, 3),
      "Reads  [######------------------] 25 %  30 of 120  about 9s left  3 s"
    )
    assert.strictEqual(lineOf({ what: "Asks", done: 7 }, 1), "Asks  7  1 s")
    assert.include(lineOf({ what: "Reads", done: 0, of: 0 }, 1), "100 %")
  })
})

layer(NodeServices.layer, { excludeTestServices: true })("a command in a terminal", (it) => {
  it.effect.skipIf(!hasTerminal)(
    "shows what it is doing after a second, and leaves its result alone",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const home = yield* fs.makeTempDirectoryScoped({ prefix: "penstock-test-" })
        // As root the server runs as another user, who must be able to pass.
        yield* fs.chmod(home, 0o711)
        const terminal = yield* inTerminal({ PENSTOCK_DATA: `${home}/data` }, ["migrate"])
        assert.strictEqual(yield* terminal.exitCode, 0)
        const written = terminal.written()
        assert.match(written, /\r(?:Opens the database|Applies migration \w+) {2}\d+ s/)
        const lines = screenAfter(written).lines.filter((line) => line !== "")
        assert.match(lines[0] ?? "", /^Database: embedded PostgreSQL, its data in /)
        assert.match(lines.join(""), /Migrated embedded PostgreSQL, .* to step \d+: 0001_accounting_points, /)
        assert.notMatch(lines.join("\n"), /Opens the database|Applies/)
      }).pipe(Effect.scoped),
    120_000
  )
})
