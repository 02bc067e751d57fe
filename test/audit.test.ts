/** `npm run audit` tells a known weakness from none, and none from not knowing. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { verdictOf } from "../scripts/audit.ts"
import { standIn } from "./support/standIn.ts"

const root = resolve(import.meta.dirname, "..")

/** As npm tells it. */
const report = (severity: string) =>
  JSON.stringify({
    auditReportVersion: 2,
    vulnerabilities: {
      one: {
        name: "one",
        severity,
        isDirect: true,
        via: [{ source: 1, name: "one", title: "A weakness", url: "https://example.org/1", severity, range: "<2" }],
        effects: ["other"],
        range: "<2",
        nodes: ["node_modules/one"],
        fixAvailable: true
      },
      other: { name: "other", severity, via: ["one"], effects: [], range: "*", nodes: [], fixAvailable: false }
    },
    metadata: { vulnerabilities: { total: 2 } }
  })

describe("what npm says of known weaknesses", () => {
  it("fails where one is high or critical, and names it", () => {
    for (const severity of ["high", "critical"]) {
      const { code, lines } = verdictOf(report(severity))
      assert.strictEqual(code, 1)
      assert.deepStrictEqual(lines, [
        `${severity}: one <2: A weakness (https://example.org/1)`,
        `${severity}: other *: by one`
      ])
    }
  })

  it("is told and does not fail where all are less", () => {
    const { code, lines } = verdictOf(report("moderate"))
    assert.strictEqual(code, 0)
    assert.match(lines[0] ?? "", /^moderate: one/)
    assert.deepStrictEqual(verdictOf('{"auditReportVersion":2,"vulnerabilities":{}}'), {
      code: 0,
      lines: ["No known weakness of what is installed."]
    })
  })

  it("is no clean bill where it says nothing", () => {
    for (const said of ["", "npm error", "{}", '{"message":"405 Method Not Allowed - POST https://a.example/-/npm"}']) {
      const { code, lines } = verdictOf(said)
      assert.strictEqual(code, 2, said)
      assert.match(lines[0] ?? "", /^NOT AUDITED: /)
      assert.notInclude(lines.join(), "a.example")
    }
  })

  it.live.each([
    [2, 405],
    [0, 200]
  ] as const)("ends the command with %i where the registry answers %i", ([expected, status]) =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const registry = yield* standIn((request, response) => {
        asked.push(`${request.method} ${request.url}`)
        response.writeHead(status, { "content-type": "application/json" }).end("{}")
      })
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      const env = { npm_config_registry: registry.url, npm_config_fetch_retries: "0" }
      const command = ChildProcess.make(process.execPath, ["scripts/audit.ts"], { cwd: root, env, extendEnv: true })
      assert.strictEqual(Number(yield* spawner.exitCode(command)), expected)
      assert.include(asked, "POST /-/npm/v1/security/advisories/bulk")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it("is asked for by every landing, which goes on only where nobody knows", () => {
    assert.include(readFileSync(join(root, ".ci/run"), "utf8"), "npm run audit || test $? -eq 2")
  })
})
