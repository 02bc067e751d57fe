/** Whoever runs it can see how it does, without SQL: by the overview, while something is wrong and when all is over. */
import { Effect, Option, Schema } from "effect"
import { HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { Overview } from "../../src/api/Overview.ts"
import type { ChaosLedger } from "./ChaosLedger.ts"
import type { ChaosInstance } from "./ChaosInstance.ts"
import { checked } from "./Checked.ts"
import { keys } from "./chaosSettings.ts"

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Overview))

/** None where an instance does not answer, which other promises are about. */
export const overviewOf = Effect.fnUntraced(function* (ledger: ChaosLedger, { number, url }: ChaosInstance) {
  const request = HttpClientRequest.bearerToken(HttpClientRequest.get(`${url}/overview`), keys.read)
  const { body, status } = yield* ledger.ask("overview", number, request)
  return status === 200 ? decode(body) : Option.none()
})

interface Counted {
  readonly relevant: number
  readonly never: number
  readonly tasks: number
  readonly behind: number
}

/** When all is over, it says what the tables hold. */
export const overviewIsTrue = Effect.fnUntraced(function* (ledger: ChaosLedger, instance: ChaosInstance) {
  const sql = yield* SqlClient.SqlClient
  const overview = yield* overviewOf(ledger, instance)
  if (Option.isNone(overview)) return checked("seen", 1, "figures of the overview", ["the overview does not answer"])
  const [row] = yield* sql<Counted>`
    SELECT count(*)::int4 AS relevant, (count(*) FILTER (WHERE last_synced_at IS NULL))::int4 AS never,
      (SELECT count(*)::int4 FROM hilltop_fetch_tasks) AS tasks
    FROM flex.accounting_point_sync WHERE relevant`
  const { accounting_points: points, flows, hilltop } = overview.value
  const figures = [
    ["relevant accounting points", points.relevant.value, row?.relevant],
    ["accounting points that were never synced", points.never_synced.value, row?.never],
    ["Hilltop tasks", hilltop.tasks.value, row?.tasks]
  ] as const
  return checked("seen", figures.length + flows.length, "figures of the overview", [
    ...figures.flatMap(([what, shown, counted]) =>
      shown === counted ? [] : [`the overview shows ${shown} ${what}, and there are ${counted}`]
    ),
    ...flows.flatMap(({ colour, flow, sentence }) =>
      colour === "red" ? [`${flow} is red when all is over: ${sentence}`] : []
    )
  ])
})
