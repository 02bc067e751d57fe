/**
 * The service on Deno, from outside: it starts as `deno task start` starts it, on an embedded database of its own, and
 * answers as it does on Node. Run by Deno (`deno task test`), not by vitest.
 */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { after, before, describe, it } from "node:test"

const root = new URL("../../", import.meta.url)

/** The parts of answers that are looked at. */
interface Answer {
  readonly openapi?: string
  readonly paths?: Readonly<Record<string, unknown>>
  readonly status?: number
  readonly id?: number
  readonly hts_url?: string
}
const answerOf = async (response: Response): Promise<Answer> => (await response.json()) as Answer

const freePort = () =>
  new Promise<number>((resolve) => {
    const probe = createServer()
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

describe("the service on Deno", () => {
  let url = ""
  let data = ""
  let output = ""
  let ended: Promise<number | null>
  let stop = () => {}

  before(async () => {
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    data = await mkdtemp(join(tmpdir(), "penstock-deno-"))
    // As root the database runs as another user, who must be able to pass.
    await chmod(data, 0o711)
    // Not through `deno task`, which does not pass signals on.
    const { tasks } = JSON.parse(await readFile(new URL("deno.json", root), "utf8")) as { tasks: { start: string } }
    const [, ...start] = tasks.start.split(" ")
    const child = spawn(process.execPath, start, {
      cwd: root,
      env: {
        ...process.env,
        PENSTOCK_DATA: data,
        HTTP_HOST: "127.0.0.1",
        HTTP_PORT: String(port),
        LOG_FORMAT: "json",
        LOOKUP_API_KEYS: "test:lookup-key",
        READ_API_KEYS: "test:read-key",
        ADMIN_API_KEYS: "test:admin-key"
      }
    })
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (output += String(piece)))
    ended = new Promise((resolve) => child.on("close", resolve))
    // child.kill would have Deno report a signal, however the process ended.
    stop = () => process.kill(child.pid ?? 0, "SIGTERM")
    for (let tries = 0; ; tries++) {
      const response = await fetch(`${url}/health/ready`).catch(() => undefined)
      await response?.body?.cancel()
      if (response?.status === 200) break
      assert.ok(tries < 600, `not ready within a minute:\n${output}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })

  after(async () => {
    stop()
    const code = await ended
    await rm(data, { recursive: true, force: true })
    assert.equal(code, 0, output)
  })

  it("describes its API", async () => {
    const document = await answerOf(await fetch(`${url}/openapi.json`))
    assert.equal(document.openapi, "3.1.0")
    assert.ok("/controllable_unit/lookup" in (document.paths ?? {}))
  })

  it("answers with problems as on Node", async () => {
    const unknown = await fetch(`${url}/nowhere`)
    assert.equal(unknown.status, 404)
    assert.equal(unknown.headers.get("content-type")?.split(";")[0], "application/problem+json")
    assert.equal((await answerOf(unknown)).status, 404)
    const noKey = await fetch(`${url}/controllable_unit/lookup`, { method: "POST", body: "{}" })
    assert.equal(noKey.status, 401)
    await noKey.body?.cancel()
  })

  it("serves the page, its scripts without their types", async () => {
    const document = await (await fetch(`${url}/`)).text()
    const [, address = ""] = /src="([^"]+begin\.ts)"/.exec(document) ?? []
    const script = await fetch(`${url}/${address.replace("begin.ts", "live/Cell.ts")}`)
    assert.equal(script.headers.get("content-type"), "text/javascript; charset=utf-8")
    const text = await script.text()
    assert.match(text, /export const makeCell/)
    assert.doesNotMatch(text, /export interface/)
  })

  it("writes to its database and reads from it", async () => {
    const headers = { authorization: "Bearer admin-key", "content-type": "application/json" }
    const body = {
      council_id: 1,
      hts_url: "https://hilltop.example.nz/data.hts",
      configuration: { measurementNames: ["Rainfall"] },
      paused: true
    }
    const added = await fetch(`${url}/hilltop/source`, { method: "POST", headers, body: JSON.stringify(body) })
    assert.equal(added.status, 201, await added.clone().text())
    const { id } = await answerOf(added)
    const read = await answerOf(await fetch(`${url}/hilltop/source/${id}`, { headers }))
    assert.equal(read.hts_url, body.hts_url)
  })
})
