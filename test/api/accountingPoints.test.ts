/**
 * Events, the kept copy and controllable units over HTTP, with a real PostgreSQL behind.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { AccountingPointCopy } from "../../src/lookup/AccountingPointCopies.ts"
import { RegisteredUnit } from "../../src/lookup/ControllableUnits.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { gsrnOf } from "../support/gsrns.ts"
import {
  adapterFails,
  adapterKnows,
  answerFor,
  ApiUnderTest,
  type Asked,
  bodyAs,
  callsFor,
  keyOf,
  layer,
  layerAlone,
  problemIn
} from "./ApiUnderTest.ts"

const person = "01019012345"
const organisation = "912345678"

const ask = (path: string, asked: Asked) => Effect.flatMap(ApiUnderTest, (api) => api.ask(path, asked))
const post = (body: unknown, type = "application/json") =>
  ask("/accounting_point/event", { key: keyOf("event"), body, headers: { "content-type": type } })
const read = (gsrn: string, headers: Readonly<Record<string, string>> = {}) =>
  ask(`/accounting_point/${gsrn}`, { key: keyOf("read"), headers })
const idOf = (index: number) => `b0000000-0000-4000-8000-${String(index).padStart(12, "0")}`
const put = (index: number, body: unknown) =>
  ask(`/controllable_unit/${idOf(index)}`, { method: "PUT", key: keyOf("admin"), body })

/** Lets the accounting point be here, by way of a lookup. */
const kept = Effect.fnUntraced(function* (index: number, endUser = organisation) {
  const gsrn = gsrnOf(index)
  yield* adapterKnows(answerFor(gsrn, endUser))
  const claim = endUser.length === 11 ? endUser.slice(0, 6) : endUser
  const body = { end_user: claim, accounting_point: gsrn }
  assert.strictEqual((yield* ask("/controllable_unit/lookup", { key: keyOf("lookup"), body })).status, 200)
  return gsrn
})

const lastEventOf = (gsrn: Gsrn) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ at: Date | null }>`
      SELECT last_event_at AS at FROM flex.accounting_point_sync s
      JOIN flex.accounting_point a ON a.id = s.accounting_point_id WHERE a.business_id = ${gsrn}`
    return row?.at?.toISOString()
  })

it.layer(layer, { excludeTestServices: true })("an event", (it) => {
  const cloudEvent = (gsrn: string, time: string) => ({
    specversion: "1.0",
    id: "1",
    source: "/datahub",
    type: "no.example.accounting_point.changed",
    subject: gsrn,
    time,
    datacontenttype: "application/json"
  })

  it.effect("is recorded alone, in an array, and as CloudEvents", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(1)
      const ways: ReadonlyArray<readonly [unknown, string]> = [
        [{ gsrn, occurred_at: "2026-01-01T01:00:00+01:00" }, "application/json"],
        [[{ gsrn, occurred_at: "2026-01-02T00:00:00Z" }], "application/json"],
        [cloudEvent(gsrn, "2026-01-03T00:00:00Z"), "application/cloudevents+json"],
        [[cloudEvent(gsrn, "2026-01-04T00:00:00Z")], "application/cloudevents-batch+json; charset=utf-8"]
      ]
      for (const [i, [body, type]] of ways.entries()) {
        const answered = yield* post(body, type)
        assert.strictEqual(answered.status, 200)
        assert.deepStrictEqual(answered.json, { received: 1, recorded: 1, stale: 0, unknown: 0 })
        assert.strictEqual(yield* lastEventOf(gsrn), `2026-01-0${i + 1}T00:00:00.000Z`)
      }
    })
  )

  it.effect("is counted as stale or unknown, and up to 1000 come at once", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(2)
      const occurred_at = "2026-01-01T00:00:00Z"
      const batch = [
        { gsrn, occurred_at },
        { gsrn, occurred_at: "2025-01-01T00:00:00Z" },
        ...Array.from({ length: 998 }, (_, i) => ({ gsrn: gsrnOf(10_000 + i), occurred_at }))
      ]
      const answered = yield* post(batch)
      assert.deepStrictEqual(answered.json, { received: 1000, recorded: 1, stale: 1, unknown: 998 })
      assert.strictEqual((yield* post([])).status, 200)
      const tooMany = yield* post([...batch, { gsrn, occurred_at }])
      assert.strictEqual(tooMany.status, 400)
      assert.include(problemIn(tooMany).detail, "at most 1000 events")
    })
  )

  it.effect("that is malformed makes the whole request 400 with its index, and nothing is recorded", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(3)
      const good = { gsrn, occurred_at: "2026-02-01T00:00:00Z" }
      const soon = DateTime.formatIso(DateTime.makeUnsafe((yield* Clock.currentTimeMillis) + 4 * 60_000))
      const tooSoon = DateTime.formatIso(DateTime.makeUnsafe((yield* Clock.currentTimeMillis) + 6 * 60_000))
      const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
        [[good, { ...good, gsrn: `${gsrn.slice(0, 17)}x` }], /^\[1\]\.gsrn: must be a GSRN/],
        [[good, good, { gsrn }], /^\[2\]\.occurred_at: is missing$/],
        [[good, { ...good, occurred_at: "2026-02-01T00:00:00" }], /^\[1\]\.occurred_at: must be an RFC 3339 time with/],
        [[good, { ...good, occurred_at: "2026-13-01T00:00:00Z" }], /^\[1\]\.occurred_at: must be an RFC 3339/],
        [[good, 7], /^\[1\]: must be an object$/],
        [[good, { ...good, occurred_at: tooSoon }], /^\[1\]: the time is more than 5 minutes in the future$/],
        [[good, { ...good, occurred_at: "0000-01-01T00:00:00Z" }], /^\[1\]\.occurred_at: must be an RFC 3339/],
        [7, /^the body: must be an object or an array$/]
      ]
      for (const [body, detail] of cases) {
        const answered = yield* post(body)
        assert.strictEqual(answered.status, 400, String(detail))
        assert.match(problemIn(answered).detail, detail)
      }
      const clouds = [cloudEvent(gsrn, good.occurred_at), { ...cloudEvent(gsrn, good.occurred_at), specversion: "0.3" }]
      const answered = yield* post(clouds, "application/cloudevents-batch+json")
      assert.strictEqual(answered.status, 400)
      assert.match(problemIn(answered).detail, /^\[1\]\.specversion: must be "1.0"$/)
      assert.strictEqual((yield* post(clouds, "application/cloudevents+json")).status, 400)
      assert.isUndefined(yield* lastEventOf(gsrn))
      assert.strictEqual((yield* post([{ ...good, occurred_at: soon }])).status, 200)
    })
  )

  it.effect("tells no more than five faults, however many there are", () =>
    Effect.gen(function* () {
      const answered = yield* post(Array.from({ length: 500 }, () => ({})))
      assert.strictEqual(answered.status, 400)
      assert.match(problemIn(answered).detail, /and 995 more$/)
      assert.isBelow(answered.text.length, 1_000)
    })
  )
})

it.layer(layer, { excludeTestServices: true })("the kept copy", (it) => {
  it.effect("shows timelines and sync state, and of a person only an internal id", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(1, person)
      const answered = yield* read(gsrn)
      assert.strictEqual(answered.status, 200)
      const copy = bodyAs(AccountingPointCopy)(answered)
      assert.strictEqual(copy.business_id, gsrn)
      assert.deepStrictEqual(copy.location, { latitude: 60.1, longitude: 10.2 })
      assert.deepStrictEqual(Object.keys(copy.end_user[0] ?? {}).sort(), ["id", "type", "valid_from", "valid_to"])
      assert.strictEqual(copy.end_user[0]?.type, "person")
      assert.strictEqual(copy.end_user[0]?.valid_from, Date.UTC(2020, 0, 1))
      assert.isNull(copy.end_user[0]?.valid_to)
      assert.strictEqual(copy.energy_supplier[0]?.business_id, "7080000000001")
      assert.strictEqual(copy.metering_grid_area[0]?.business_id, "42Y1234567890123")
      assert.strictEqual(copy.energy_direction[0]?.direction, "consumption")
      assert.strictEqual(copy.sync.version, 1)
      assert.strictEqual(copy.sync.failures, 0)
      assert.isNotNull(copy.sync.last_synced_at)
      assert.notInclude(answered.text, person)
      assert.include(answered.text, '"valid_from":"2020-01-01T00:00:00.000Z"')
      const company = bodyAs(AccountingPointCopy)(yield* read(yield* kept(2)))
      assert.strictEqual(company.end_user[0]?.business_id, organisation)
    })
  )

  it.effect("shows no number of eleven digits, also where the adapter calls it an organisation's", () =>
    Effect.gen(function* () {
      const gsrn = gsrnOf(4)
      const number = "02029054321"
      yield* adapterKnows({ ...answerFor(gsrn, number), entityTypes: new Map([[number, "organisation"]]) })
      const body = { end_user: number.slice(0, 6), accounting_point: gsrn }
      yield* ask("/controllable_unit/lookup", { key: keyOf("lookup"), body })
      const answered = yield* read(gsrn)
      assert.strictEqual(bodyAs(AccountingPointCopy)(answered).end_user[0]?.type, "organisation")
      assert.notInclude(answered.text, number)
    })
  )

  it.effect("has a tag that changes when it does, and 304 for who has it already", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(3)
      const first = yield* read(gsrn)
      const etag = first.headers.get("etag") ?? ""
      assert.match(etag, /^"[0-9a-f]{32}"$/)
      for (const header of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
        const answered = yield* read(gsrn, { "if-none-match": header })
        assert.strictEqual(answered.status, 304)
        assert.strictEqual(answered.text, "")
        assert.strictEqual(answered.headers.get("etag"), etag)
        assert.strictEqual(answered.headers.get("cache-control"), first.headers.get("cache-control"))
      }
      assert.strictEqual(first.headers.get("cache-control"), "private, no-cache")
      assert.strictEqual((yield* read(gsrn, { "if-none-match": '"other"' })).status, 200)
      yield* post([{ gsrn, occurred_at: "2026-01-01T00:00:00Z" }])
      const changed = yield* read(gsrn, { "if-none-match": etag })
      assert.strictEqual(changed.status, 200)
      assert.strictEqual(bodyAs(AccountingPointCopy)(changed).sync.last_event_at, Date.UTC(2026, 0, 1))
    })
  )

  it.effect("is 404 when it is not here, and 400 for what is no GSRN", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* read(gsrnOf(9))).status, 404)
      const malformed = yield* read("123")
      assert.strictEqual(malformed.status, 400)
      assert.match(problemIn(malformed).detail, /^gsrn: must be a GSRN/)
    })
  )
})

it.layer(layer, { excludeTestServices: true })("a controllable unit", (it) => {
  describe("that is put", () => {
    it.effect("is created, and then replaced; its resources only when they are given", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(1)
        const created = yield* put(1, {
          accounting_point: gsrn,
          name: "Boiler",
          start_date: "2026-01-01",
          technical_resources: [{ name: "Tank" }, { name: "Coil" }]
        })
        assert.strictEqual(created.status, 201)
        const unit = bodyAs(RegisteredUnit)(created)
        assert.include(unit, { business_id: idOf(1), name: "Boiler", status: "new", start_date: "2026-01-01" })
        assert.strictEqual(unit.accounting_point.business_id, gsrn)
        assert.deepStrictEqual(
          unit.technical_resources.map(({ name }) => name),
          ["Tank", "Coil"]
        )
        const renamed = yield* put(1, { accounting_point: gsrn, name: "Big boiler", start_date: null })
        assert.strictEqual(renamed.status, 200)
        const again = bodyAs(RegisteredUnit)(renamed)
        assert.include(again, { id: unit.id, name: "Big boiler", start_date: null })
        assert.deepStrictEqual(again.technical_resources, unit.technical_resources)
        const emptied = yield* put(1, { accounting_point: gsrn, name: "Big boiler", technical_resources: [] })
        assert.deepStrictEqual(bodyAs(RegisteredUnit)(emptied).technical_resources, [])
      })
    )

    it.effect("at an accounting point that is not here yet fetches it, and is 404 when nobody knows it", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(2)
        yield* adapterKnows(answerFor(gsrn, organisation))
        assert.strictEqual((yield* put(2, { accounting_point: gsrn, name: "Unit" })).status, 201)
        assert.strictEqual(yield* callsFor(gsrn), 1)
        const unknown = yield* put(3, { accounting_point: gsrnOf(3), name: "Unit" })
        assert.strictEqual(unknown.status, 404)
        yield* adapterFails(new AdapterFailure({ kind: "deadline", detail: "too slow" }))
        const slow = yield* put(3, { accounting_point: gsrnOf(3), name: "Unit" })
        yield* adapterFails(undefined)
        assert.strictEqual(slow.status, 504)
        assert.isNotNull(slow.headers.get("retry-after"))
      })
    )

    it.effect("with malformed fields is 400", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(4)
        const cases: ReadonlyArray<readonly [unknown, RegExp]> = [
          [{ name: "Unit" }, /^accounting_point: is missing$/],
          [{ accounting_point: gsrn }, /^name: is missing$/],
          [{ accounting_point: gsrn, name: "" }, /^name: must be a value with a length of at least 1$/],
          [{ accounting_point: gsrn, name: "Unit", start_date: "2026-02-30" }, /^start_date: must be a calendar date/],
          [
            { accounting_point: gsrn, name: "Unit", technical_resources: [{ name: "a" }, {}] },
            /^technical_resources\[1\]\.name: is missing$/
          ],
          [{ accounting_point: gsrn, name: "Unit", start_date: "0000-01-01" }, /^start_date: must be a calendar date/],
          [{ accounting_point: gsrn, name: "nul\u0000" }, /^the body: must not contain NUL/],
          [{ accounting_point: gsrn, name: "Unit", technical_resources: [{ name: "\ud800" }] }, /unpaired surrogates/]
        ]
        for (const [body, detail] of cases) {
          const answered = yield* put(4, body)
          assert.strictEqual(answered.status, 400, String(detail))
          assert.match(problemIn(answered).detail, detail)
        }
        const badId = yield* ask("/controllable_unit/not-a-uuid", { method: "DELETE", key: keyOf("admin") })
        assert.strictEqual(badId.status, 400)
      })
    )
  })

  it.effect("that is terminated stays so until it is put again", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(5)
      const terminate = ask(`/controllable_unit/${idOf(5)}`, { method: "DELETE", key: keyOf("admin") })
      assert.strictEqual((yield* terminate).status, 404)
      assert.strictEqual((yield* put(5, { accounting_point: gsrn, name: "Unit" })).status, 201)
      const terminated = yield* terminate
      assert.strictEqual(terminated.status, 204)
      assert.strictEqual(terminated.text, "")
      assert.strictEqual((yield* terminate).status, 204, "a repeated request changes nothing")
      assert.strictEqual((yield* put(5, { accounting_point: gsrn, name: "Unit" })).status, 201)
      assert.strictEqual((yield* put(5, { accounting_point: gsrn, name: "Unit" })).status, 200)
      const { logged } = yield* ApiUnderTest
      const lines = logged.filter((line) => line.includes("operator: ") && line.includes(idOf(5)))
      assert.deepStrictEqual(
        lines.map((line) => /operator: a controllable unit was (\w+)/.exec(line)?.[1]),
        ["created", "terminated", "terminated", "created", "replaced"]
      )
      assert.isTrue(lines.every((line) => line.includes("admin-caller")))
    })
  )

  it.effect("put by many at once has the resources of one of them", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(6)
      const puts = Array.from({ length: 12 }, (_, i) =>
        put(6, {
          accounting_point: gsrn,
          name: `Unit ${i}`,
          technical_resources: [{ name: `${i}a` }, { name: `${i}b` }]
        })
      )
      const answered = yield* Effect.all(puts, { concurrency: "unbounded" })
      const statuses = answered.map(({ status }) => status)
      assert.includeMembers([200, 201, 503], statuses)
      assert.include(statuses, 201, "who does not get the row within a second is told to come again")
      const last = bodyAs(RegisteredUnit)(yield* put(6, { accounting_point: gsrn, name: "Last" }))
      const [first, second, ...others] = last.technical_resources.map(({ name }) => name)
      assert.deepStrictEqual(others, [])
      assert.strictEqual(first?.slice(0, -1), second?.slice(0, -1))
    })
  )
})

it.layer(layerAlone, { excludeTestServices: true })("a controllable unit without an adapter", (it) => {
  it.effect("is 404 at an accounting point that is not here", () =>
    Effect.gen(function* () {
      const answered = yield* put(1, { accounting_point: gsrnOf(1), name: "Unit" })
      assert.strictEqual(answered.status, 404)
      assert.include(problemIn(answered).detail, "no adapter is configured")
    })
  )
})
