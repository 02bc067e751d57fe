/**
 * Flow 1 beside an open transaction of somebody else, for every table and every lock of a row: what concerns the row answers
 * within two seconds and a half, at worst that it is to be asked again; everything else goes on as if nothing were.
 *
 * More requests concern the row than the pool has connections, and they keep coming while the others are asked.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { lockModes, whileHeld } from "../support/stranger.ts"
import { adapterKnows, answerFor, type Answered, ApiUnderTest, keyOf, layerOnPool } from "./ApiUnderTest.ts"

/** One for each lock mode; `other` concerns nobody; the last two are not here yet. */
const concerned = [1, 2, 3, 4].map(gsrnOf)
const [other, unknown, unknownToo] = [5, 6, 7].map(gsrnOf) as [Gsrn, Gsrn, Gsrn]
const endUserOf = (gsrn: Gsrn) => `9${gsrn.slice(9, 17)}`
const unitOf = (gsrn: Gsrn) => `a0000000-0000-4000-8000-${gsrn.slice(6)}`
/** Of `unknown` alone. */
const [newSupplier, newGridArea] = ["7080000000056", "42Y5555555555555"]

const asking = Effect.map(ApiUnderTest, ({ ask }) => ({
  lookup: (gsrn: Gsrn, headers: Readonly<Record<string, string>> = {}) =>
    ask("/controllable_unit/lookup", {
      key: keyOf("lookup"),
      headers,
      body: { end_user: endUserOf(gsrn), accounting_point: gsrn }
    }),
  tell: (gsrns: ReadonlyArray<Gsrn>) =>
    ask("/accounting_point/event", {
      key: keyOf("event"),
      body: gsrns.map((gsrn) => ({ gsrn, occurred_at: new Date().toISOString() }))
    }),
  read: (gsrn: Gsrn) => ask(`/accounting_point/${gsrn}`, { key: keyOf("read") }),
  put: (gsrn: Gsrn, name: string) =>
    ask(`/controllable_unit/${unitOf(gsrn)}`, {
      method: "PUT",
      key: keyOf("admin"),
      body: { accounting_point: gsrn, name, technical_resources: [{ name: "Pump" }] }
    }),
  health: (what: "ready" | "progress") => ask(`/health/${what}`)
}))
const fresh = { "cache-control": "no-cache" }

/** The accounting points with all their rows; those that are not here yet are not here. */
const arrange = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { lookup, put } = yield* asking
  const since2020 = (value: string) => [{ value, from: Date.UTC(2020, 0, 1), to: undefined }]
  for (const gsrn of [...concerned, other, unknownToo]) yield* adapterKnows(answerFor(gsrn, endUserOf(gsrn)))
  const answer = answerFor(unknown, endUserOf(unknown))
  const timelines = { energy_supplier: since2020(newSupplier), metering_grid_area: since2020(newGridArea) }
  yield* adapterKnows({ ...answer, timelines: { ...answer.timelines, ...timelines } })
  yield* sql`DELETE FROM flex.accounting_point WHERE business_id = ANY (${[unknown, unknownToo]}::text[])`
  yield* sql`DELETE FROM flex.end_user WHERE business_id = ANY (${[unknown, unknownToo].map(endUserOf)}::text[])`
  yield* sql`DELETE FROM flex.energy_supplier WHERE business_id = ${newSupplier}`
  yield* sql`DELETE FROM flex.metering_grid_area WHERE business_id = ${newGridArea}`
  for (const gsrn of [...concerned, other]) {
    assert.strictEqual((yield* lookup(gsrn)).status, 200)
    assert.include([200, 201], (yield* put(gsrn, "Unit")).status)
  }
})

const ofPoint = (gsrn: Gsrn) =>
  `accounting_point_id = (SELECT id FROM flex.accounting_point WHERE business_id = '${gsrn}')`
const byNumber = (gsrn: Gsrn) => `business_id = '${gsrn}'`
/** Rows of one accounting point and nobody else. */
const rowsOf: Readonly<Record<string, (gsrn: Gsrn) => string>> = {
  accounting_point: byNumber,
  accounting_point_sync: byNumber,
  accounting_point_end_user: ofPoint,
  accounting_point_energy_supplier: ofPoint,
  accounting_point_metering_grid_area: ofPoint,
  accounting_point_energy_direction: ofPoint,
  end_user: (gsrn) => `business_id = '${endUserOf(gsrn)}'`,
  controllable_unit: ofPoint,
  technical_resource: (gsrn) => `controllable_unit_id = (SELECT id FROM flex.controllable_unit WHERE ${ofPoint(gsrn)})`,
  lookup_audit: ofPoint
}
const held: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ...Object.entries(rowsOf).map(
    ([table, whereOf]) =>
      [
        `rows of ${table}, in every mode`,
        lockModes.map((mode, i) => `SELECT FROM flex.${table} WHERE ${whereOf(concerned[i]!)} FOR ${mode}`)
      ] as const
  ),
  ["a new accounting point", [`INSERT INTO flex.accounting_point (business_id) VALUES ('${unknown}')`]],
  [
    "a new end user",
    [`INSERT INTO flex.end_user (business_id, type) VALUES ('${endUserOf(unknown)}', 'organisation')`]
  ],
  ["a new supplier", [`INSERT INTO flex.energy_supplier (business_id) VALUES ('${newSupplier}')`]],
  ["a new grid area", [`INSERT INTO flex.metering_grid_area (business_id) VALUES ('${newGridArea}')`]],
  [
    "a sync row that it has changed, and one that it has deleted",
    [
      `UPDATE flex.accounting_point_sync SET version = version + 1 WHERE ${byNumber(concerned[0]!)}`,
      `DELETE FROM flex.accounting_point_sync WHERE ${byNumber(concerned[1]!)}`
    ]
  ]
]

/** Seconds that what concerns nobody may take: 2, and as much again for a machine that has other work. */
const prompt = 4

const inTime = Effect.fnUntraced(function* (what: string, seconds: number, request: Effect.Effect<Answered>) {
  const [took, answered] = yield* Effect.timed(request)
  assert.isBelow(Duration.toSeconds(took), seconds, what)
  return answered
})

it.layer(layerOnPool, { excludeTestServices: true })("beside a stranger's open transaction", (it) => {
  it.effect.each(held)(
    "that holds %s, everything else goes on",
    ([, statements]) =>
      Effect.gen(function* () {
        const { health, lookup, put, read, tell } = yield* asking
        yield* arrange
        const about = (gsrn: Gsrn) => [
          inTime("a lookup", prompt, lookup(gsrn)),
          inTime("an event", prompt, tell([gsrn, other])),
          inTime("a unit", 6, put(gsrn, "Changed")),
          inTime("a fresh lookup", 6, lookup(gsrn, fresh)),
          inTime("a lookup of one that is not here", 6, lookup(unknown))
        ]
        const concerning = Effect.forEach(
          [...concerned, ...concerned].flatMap(about),
          Effect.map(({ headers, status }) => [status, headers.get("retry-after")]),
          { concurrency: "unbounded" }
        )
        const others = Effect.gen(function* () {
          assert.strictEqual((yield* inTime("another lookup", prompt, lookup(other))).status, 200)
          assert.strictEqual((yield* inTime("another event", prompt, tell([other]))).status, 200)
          assert.strictEqual((yield* inTime("another unit", prompt, put(other, "Other"))).status, 200)
          assert.strictEqual((yield* inTime("another fresh lookup", prompt, lookup(other, fresh))).status, 200)
          assert.strictEqual((yield* inTime("another new one", prompt, lookup(unknownToo))).status, 200)
          assert.strictEqual((yield* inTime("a copy", prompt, read(other))).status, 200)
          assert.strictEqual((yield* inTime("being ready", prompt, health("ready"))).status, 200)
          assert.strictEqual((yield* inTime("progress", prompt, health("progress"))).status, 200)
        })
        yield* whileHeld(
          statements,
          Effect.gen(function* () {
            const waiting = yield* Effect.forkChild(concerning)
            yield* others
            for (const [status, retryAfter] of yield* Fiber.join(waiting)) {
              if (status !== 200) assert.deepStrictEqual([status, retryAfter], [503, "1"])
            }
          })
        )
        for (const gsrn of [...concerned, unknown]) assert.strictEqual((yield* lookup(gsrn)).status, 200)
        assert.strictEqual((yield* tell(concerned)).status, 200)
      }),
    20_000
  )
})
