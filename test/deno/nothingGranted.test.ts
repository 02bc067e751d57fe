/**
 * What `src` needs of the outside world to be loaded: nothing. Every file of it is imported by a Deno to which no permission is
 * granted, and which says so itself.
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { globSync } from "node:fs"
import process from "node:process"
import { describe, it } from "node:test"

const root = new URL("../../", import.meta.url)
const files = globSync("src/**/*.ts", { cwd: root }).sort()

/** Imports that can be read from the text need no permission of their own; computed ones would need to read files. */
const program = `${files.map((file) => `import "./${file}"`).join("\n")}
const names = ["read", "write", "net", "env", "run", "sys", "ffi"] as const
const states = names.map((name) => [name, Deno.permissions.querySync({ name }).state])
console.log(JSON.stringify(Object.fromEntries(states)))
`

const run = (text: string) =>
  new Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>((resolve) => {
    // Named by the environment: where its own path stands in a command, Deno puts `-A` behind it. No remote module either: what is
    // imported lies here.
    const command = 'exec "$DENO" run --no-prompt --no-remote -'
    const child = spawn("sh", ["-c", command], { cwd: root, env: { ...process.env, DENO: process.execPath } })
    let [out, err] = ["", ""]
    child.stdout.on("data", (piece) => (out += String(piece)))
    child.stderr.on("data", (piece) => (err += String(piece)))
    child.on("close", (code) => resolve({ code, out, err }))
    child.stdin.end(text)
  })

describe("src", () => {
  it("loads with no permission granted", async () => {
    assert.ok(files.length > 100)
    const { code, err, out } = await run(program)
    assert.equal(code, 0, err)
    assert.deepEqual(new Set(Object.values(JSON.parse(out) as Record<string, string>)), new Set(["prompt"]))
  })

  it("would be seen to ask for one", async () => {
    const { code, err } = await run(`import "./src/domain/Instant.ts"\nprocess.env.HOME\n`)
    assert.notEqual(code, 0)
    assert.match(err, /NotCapable|Requires env access/)
  })
})
