#!/usr/bin/env node
/**
 * `npm run audit`: asks npm's registry for known weaknesses of what an installation without development packages brings.
 *
 * Ends with 1 where one of them is high or critical. Ends with 2 where the registry tells nothing, as many mirrors do: then nobody knows,
 * which is said, and is for whoever runs it to judge. `.ci/run` goes on.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, Option, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"

const Advisory = Schema.Struct({ title: Schema.String, url: Schema.String, severity: Schema.String })
const Report = Schema.fromJsonString(
  Schema.Struct({
    vulnerabilities: Schema.Record(
      Schema.String,
      Schema.Struct({
        severity: Schema.String,
        range: Schema.String,
        via: Schema.Array(Schema.Union([Schema.String, Advisory]))
      })
    )
  })
)
const Refusal = Schema.fromJsonString(Schema.Struct({ message: Schema.String }))
const decodeReport = Schema.decodeUnknownOption(Report)
const decodeRefusal = Schema.decodeUnknownOption(Refusal)

export interface Verdict {
  /** Of the process. */
  readonly code: 0 | 1 | 2
  readonly lines: ReadonlyArray<string>
}

const grave = new Set(["high", "critical"])

/** What is to be said of the output of `npm audit --json`. */
export const verdictOf = (output: string): Verdict =>
  Option.match(decodeReport(output), {
    onNone: () => {
      const why = Option.match(decodeRefusal(output), {
        onNone: () => "npm said nothing that can be read",
        // The address of a registry may hold what is nobody's business.
        onSome: ({ message }) => message.replace(/https?:\/\/\S+/g, "the registry")
      })
      return { code: 2, lines: [`NOT AUDITED: known weaknesses could not be asked for: ${why}`] }
    },
    onSome: ({ vulnerabilities }) => {
      const all = Object.entries(vulnerabilities)
      const lines = all.map(([name, { range, severity, via }]) => {
        const told = via.map((one) => (typeof one === "string" ? `by ${one}` : `${one.title} (${one.url})`))
        return `${severity}: ${name} ${range}: ${told.join("; ")}`
      })
      const found = all.some(([, { severity }]) => grave.has(severity))
      return { code: found ? 1 : 0, lines: lines.length === 0 ? ["No known weakness of what is installed."] : lines }
    }
  })

const root = fileURLToPath(new URL("..", import.meta.url))

/** Asks, as this npm is configured. */
export const audit = Effect.gen(function* () {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const command = ChildProcess.make("npm", ["audit", "--omit=dev", "--json"], { cwd: root, extendEnv: true })
  return verdictOf(yield* Effect.orElseSucceed(spawner.string(command), () => ""))
})

const tell = Effect.gen(function* () {
  const { code, lines } = yield* audit
  yield* Effect.forEach(lines, (line) => Console.log(line), { discard: true })
  process.exitCode = code
})

if (import.meta.main) NodeRuntime.runMain(tell.pipe(Effect.provide(NodeServices.layer)))
