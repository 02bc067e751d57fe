/**
 * Nothing personal or secret is told: not in what the instances log, answer with an error or measure, and not in what the tables
 * remember of failures.
 */
import { Effect, FileSystem, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { SqlClient } from "effect/sql"
import type { ChaosWorld } from "./ChaosFault.ts"
import type { Asked } from "./ChaosLedger.ts"
import { checked } from "./Checked.ts"
import { keys } from "./chaosSettings.ts"

/** A personal number has eleven digits and stands alone; ids and times are longer or stand in words. */
const person = /(?<![\w.-])\d{11}(?![\w.-])/

const said = (where: string, text: string, secrets: ReadonlyArray<string>): ReadonlyArray<string> => {
  const found = secrets.find((secret) => text.includes(secret))
  return [
    ...(found === undefined ? [] : [`a key or password stands in ${where}`]),
    ...(person.test(text) ? [`a personal number stands in ${where}`] : [])
  ]
}

export const nothingTold = Effect.fnUntraced(function* (
  { adapter, instances, network }: ChaosWorld,
  asked: ReadonlyArray<Asked>
) {
  const fs = yield* FileSystem.FileSystem
  const sql = yield* SqlClient.SqlClient
  const { password } = new URL(Redacted.value(network.database))
  const secrets = [...Object.values(keys), adapter.apiKey, ...(password.length < 8 ? [] : [password])]
  const logs = yield* Effect.forEach(instances, ({ log }) => fs.readFileString(log))
  const metrics = yield* Effect.forEach(instances, ({ url }) =>
    HttpClient.get(`${url}/metrics`).pipe(
      Effect.flatMap(({ text }) => text),
      Effect.scoped,
      Effect.orElseSucceed(() => "")
    )
  )
  const [kept] = yield* sql<{ histories: string; errors: string }>`
    SELECT (SELECT string_agg(previous_history::text, ' ') FROM hilltop_fetch_tasks) AS histories,
      (SELECT string_agg(last_error, ' ') FROM flex.accounting_point_sync) AS errors`
  const details = asked.flatMap(({ detail }) => detail ?? []).join("\n")
  const texts = [
    ...logs.map((text, i) => [`the log of instance ${i + 1}`, text] as const),
    ...metrics.map((text, i) => [`the metrics of instance ${i + 1}`, text] as const),
    ["an error answer", details] as const,
    ["a task's history", kept?.histories ?? ""] as const,
    ["the last error of a copy", kept?.errors ?? ""] as const
  ]
  const lines = texts.reduce((sum, [, text]) => sum + text.split("\n").length, 0)
  return checked(
    "secret",
    lines,
    "lines of logs, metrics, answers and histories",
    texts.flatMap(([where, text]) => said(where, text, secrets))
  )
})
