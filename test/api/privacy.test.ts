/**
 * A personal number or a key that was planted anywhere comes out nowhere: in no answer, no log line and no metric.
 */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { gsrnOf } from "../support/gsrns.ts"
import {
  adapterFails,
  adapterKnows,
  ageCopy,
  answerFor,
  ApiUnderTest,
  type Asked,
  keyOf,
  layer
} from "./ApiUnderTest.ts"

/** Of the end user that the adapter names, and one that a caller sends where it does not belong. */
const kept = "01019012345"
const sent = "31129954321"
const secrets = [kept, sent, ...["lookup", "event", "read", "admin"].map((scope) => `${scope}-key-`), "wrong-key-0001"]

const event = (body: unknown): readonly [string, Asked] => ["/accounting_point/event", { key: keyOf("event"), body }]
const put = (path: string, body: unknown): readonly [string, Asked] => [
  path,
  { method: "PUT", key: keyOf("admin"), body }
]

it.layer(layer, { excludeTestServices: true })("a secret", (it) => {
  it.effect("comes out nowhere", () =>
    Effect.gen(function* () {
      const api = yield* ApiUnderTest
      const gsrn = gsrnOf(1)
      const unit = "c0000000-0000-4000-8000-000000000001"
      yield* adapterKnows(answerFor(gsrn, kept))
      const lookup = (body: object, more: Partial<Asked> = {}): readonly [string, Asked] => [
        "/controllable_unit/lookup",
        { key: keyOf("lookup"), body: { accounting_point: gsrn, ...body }, ...more }
      ]
      const requests: ReadonlyArray<readonly [string, Asked]> = [
        lookup({ end_user: "010190" }),
        lookup({ end_user: "020290" }),
        lookup({ end_user: sent }),
        lookup({ end_user: Number(sent) }),
        lookup({ end_user: [sent] }),
        lookup({ end_user: { [sent]: sent } }),
        lookup({ end_user: "010190", accounting_point: sent }),
        lookup({ end_user: "010190", controllable_unit: sent }),
        lookup({ end_user: "010190", [sent]: sent }),
        lookup({}, { body: `{"end_user": "${sent}` }),
        lookup({}, { body: sent, headers: { "content-type": `application/${sent}` } }),
        lookup({ end_user: "010190" }, { headers: { "x-request-id": sent, "cache-control": sent } }),
        lookup({ end_user: "010190" }, { key: "wrong-key-0001" }),
        lookup({ end_user: "010190" }, { key: keyOf("read") }),
        lookup({ end_user: "010190" }, { key: sent }),
        event({ gsrn: sent, occurred_at: sent }),
        event([{ gsrn, occurred_at: `2026-01-01T00:00:00Z${sent}` }]),
        event({ [sent]: sent }),
        event(sent),
        put(`/controllable_unit/${unit}`, { accounting_point: sent, name: "Unit" }),
        put(`/controllable_unit/${unit}`, { accounting_point: gsrn, name: 1, start_date: sent }),
        put(`/controllable_unit/${sent}`, { accounting_point: gsrn, name: "Unit" }),
        put("/hilltop/source/1", { council_id: 1, hts_url: sent, configuration: { measurementNames: sent } }),
        put(`/hilltop/source/${sent}`, {}),
        ["/hilltop/source", { key: keyOf("admin"), body: { configuration: { [sent]: sent } } }],
        [`/hilltop/task?status=${sent}&type=${sent}&cursor=x${sent}&source=${sent}`, { key: keyOf("admin") }],
        [`/hilltop/task/${sent}${sent}/run`, { key: keyOf("admin"), method: "POST" }],
        [`/accounting_point/${gsrn}`, { key: keyOf("read") }],
        [`/accounting_point/${gsrn}?person=${sent}`, { key: keyOf("read"), headers: { "if-none-match": sent } }],
        [`/accounting_point/${sent}`, { key: keyOf("read") }],
        [`/${sent}`, {}],
        [`/health/live?${sent}`, { headers: { traceparent: `00-${sent}-${sent}-01` } }]
      ]
      const texts: Array<string> = []
      const run = (list: typeof requests) =>
        Effect.forEach(list, ([path, asked]) =>
          Effect.map(api.ask(path, asked), ({ headers, status, text }) => {
            assert.isBelow(status, 500)
            texts.push(text, JSON.stringify([...headers]))
          })
        )
      yield* run(requests)
      yield* ageCopy(gsrn, "3 hours")
      yield* adapterFails(new AdapterFailure({ kind: "invalid", detail: "not what the contract says" }))
      yield* run([lookup({ end_user: "010190" })])
      texts.push((yield* api.ask("/metrics")).text, ...api.logged)
      assert.isAbove(api.logged.length, requests.length)
      for (const secret of secrets) {
        assert.isUndefined(
          texts.find((text) => text.includes(secret)),
          `${secret} came out`
        )
      }
    })
  )
})
