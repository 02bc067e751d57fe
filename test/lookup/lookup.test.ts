/**
 * Every row of the lookup's status table, over the fetch handler and a real PostgreSQL.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import { AccountingPointUnknown, AdapterFailure } from "../../src/sync/AdapterClient.ts"
import { LookupResponse } from "../../src/api/AccountingPointApi.ts"
import type { Gsrn } from "../../src/domain/Identifiers.ts"
import { gsrnOf } from "../support/gsrns.ts"
import {
  adapterFails,
  adapterKnows,
  AdapterSwitches,
  ageCopy,
  answerFor,
  ApiUnderTest,
  bodyAs,
  callsFor,
  keyOf,
  layer,
  layerAlone,
  problemIn,
  requestOf
} from "../api/ApiUnderTest.ts"

const lookupIn = bodyAs(LookupResponse)

const person = "01019012345"
const birthDate = "010190"
const organisation = "912345678"

const ask = (body: unknown, headers: Readonly<Record<string, string>> = {}, key = keyOf("lookup")) =>
  Effect.flatMap(ApiUnderTest, (api) => api.ask("/controllable_unit/lookup", { key, body, headers }))

const lookup = (gsrn: string, endUser: string, headers?: Readonly<Record<string, string>>, key?: string) =>
  ask({ end_user: endUser, accounting_point: gsrn }, headers, key)

const kept = Effect.fnUntraced(function* (index: number, endUser: string = organisation) {
  const gsrn = gsrnOf(index)
  yield* adapterKnows(answerFor(gsrn, endUser))
  const answered = yield* lookup(gsrn, endUser.length === 11 ? endUser.slice(0, 6) : endUser)
  assert.strictEqual(answered.status, 200)
  return gsrn
})

const unitOf = (index: number) => `a0000000-0000-4000-8000-${String(index).padStart(12, "0")}`

const register = Effect.fnUntraced(function* (index: number, gsrn: Gsrn, resources: ReadonlyArray<string> = []) {
  const api = yield* ApiUnderTest
  const answered = yield* api.ask(`/controllable_unit/${unitOf(index)}`, {
    method: "PUT",
    key: keyOf("admin"),
    body: { accounting_point: gsrn, name: `Unit ${index}`, technical_resources: resources.map((name) => ({ name })) }
  })
  assert.strictEqual(answered.status, 201)
  return unitOf(index)
})

const auditOf = (gsrn: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ caller: string; outcome: string; end_user_id: number | null }>`
      SELECT l.caller, l.outcome, l.end_user_id FROM flex.lookup_audit l
      JOIN flex.accounting_point a ON a.id = l.accounting_point_id WHERE a.business_id = ${gsrn} ORDER BY l.id`
  )

const down = (kind: AdapterFailure["kind"], retryAfter?: number) =>
  new AdapterFailure({ kind, detail: "not usable", ...(retryAfter === undefined ? {} : { retryAfter }) })

/** Runs `body` while the adapter fails. */
const during = <A, E, R>(error: AdapterFailure | AccountingPointUnknown, body: Effect.Effect<A, E, R>) =>
  Effect.andThen(adapterFails(error), body).pipe(Effect.ensuring(adapterFails(undefined)))

it.layer(layer, { excludeTestServices: true })("a lookup", (it) => {
  describe("of an accounting point", () => {
    it.effect("is answered for the organisation that is its end user now, with its living units", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(1)
        yield* adapterKnows(answerFor(gsrn, organisation))
        const unit = yield* register(1, gsrn, ["Heat pump", "Battery"])
        const answered = yield* lookup(gsrn, organisation)
        assert.strictEqual(answered.status, 200)
        const { accounting_point, controllable_units, end_user } = lookupIn(answered)
        assert.strictEqual(accounting_point.business_id, gsrn)
        assert.isNumber(accounting_point.id)
        assert.deepStrictEqual(Object.keys(end_user), ["id"])
        assert.deepStrictEqual(
          controllable_units.map((each) => [each.business_id, each.name, each.technical_resources.map((r) => r.name)]),
          [[unit, "Unit 1", ["Heat pump", "Battery"]]]
        )
        assert.isUndefined(lookupIn(answered).stale)
        assert.strictEqual(answered.headers.get("cache-control"), "no-store")
        assert.isNull(answered.headers.get("age"))
      })
    )

    it.effect("is answered for a person who gives the birth date", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(2)
        yield* adapterKnows(answerFor(gsrn, person))
        const answered = yield* lookup(gsrn, birthDate)
        assert.strictEqual(answered.status, 200)
        assert.notInclude(answered.text, person)
      })
    )

    it.effect("is 403 for anybody else, and both outcomes are in the audit trail", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(3, person)
        const answered = yield* lookup(gsrn, "020290")
        assert.strictEqual(answered.status, 403)
        assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:end-user-mismatch")
        assert.strictEqual((yield* lookup(gsrn, organisation)).status, 403)
        const audit = yield* auditOf(gsrn)
        assert.deepStrictEqual(
          audit.map(({ caller, outcome }) => [caller, outcome]),
          [
            ["lookup-caller", "match"],
            ["lookup-caller", "mismatch"],
            ["lookup-caller", "mismatch"]
          ]
        )
      })
    )

    it.effect("does not take the first digits of an organisation's number for a birth date", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(4)
        assert.strictEqual((yield* lookup(gsrn, organisation.slice(0, 6))).status, 403)
      })
    )

    it.effect("is matched against the end user of this moment, not of another", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(5)
        const answer = answerFor(gsrn, person)
        const moved = Date.now() - 3_600_000
        yield* adapterKnows({
          ...answer,
          timelines: {
            ...answer.timelines,
            end_user: [
              { value: person, from: Date.UTC(2020, 0, 1), to: moved },
              { value: organisation, from: moved, to: undefined }
            ]
          }
        })
        assert.strictEqual((yield* lookup(gsrn, birthDate)).status, 403)
        assert.strictEqual((yield* lookup(gsrn, organisation)).status, 200)
      })
    )

    it.effect("is 404 when neither we nor the adapter know it, and leaves nothing behind", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(6)
        const answered = yield* lookup(gsrn, organisation)
        assert.strictEqual(answered.status, 404)
        assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:accounting-point-unknown")
        const sql = yield* SqlClient.SqlClient
        assert.lengthOf(yield* sql`SELECT FROM flex.accounting_point WHERE business_id = ${gsrn}`, 0)
      })
    )

    it.effect("makes it relevant for the background sync", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(7)
        const sql = yield* SqlClient.SqlClient
        const rows = yield* sql<{ relevant: boolean; recent: boolean }>`
          SELECT s.relevant, s.last_lookup_at > now() - interval '1 minute' AS recent FROM flex.accounting_point_sync s
          JOIN flex.accounting_point a ON a.id = s.accounting_point_id WHERE a.business_id = ${gsrn}`
        assert.deepStrictEqual(rows, [{ relevant: true, recent: true }])
      })
    )
  })

  describe("of a controllable unit", () => {
    it.effect("shows that unit alone", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(20)
        const unit = yield* register(20, gsrn)
        yield* register(21, gsrn)
        const one = yield* ask({ end_user: organisation, controllable_unit: unit })
        assert.strictEqual(one.status, 200)
        assert.deepStrictEqual(
          lookupIn(one).controllable_units.map((each) => each.business_id),
          [unit]
        )
        assert.strictEqual(lookupIn(one).accounting_point.business_id, gsrn)
        const all = yield* lookup(gsrn, organisation)
        assert.lengthOf(lookupIn(all).controllable_units, 2)
      })
    )

    it.effect("is 404 when it is unknown or terminated", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(22)
        const unit = yield* register(22, gsrn)
        const api = yield* ApiUnderTest
        const terminated = yield* api.ask(`/controllable_unit/${unit}`, { method: "DELETE", key: keyOf("admin") })
        assert.strictEqual(terminated.status, 204)
        for (const controllable_unit of [unit, unitOf(999)]) {
          const answered = yield* ask({ end_user: organisation, controllable_unit })
          assert.strictEqual(answered.status, 404)
          assert.strictEqual(problemIn(answered).type, "urn:penstock:problem:controllable-unit-unknown")
        }
        assert.deepStrictEqual(lookupIn(yield* lookup(gsrn, organisation)).controllable_units, [])
      })
    )
  })

  describe("of a fresh copy", () => {
    it.effect("does not ask the adapter, until the copy is too old or an event came", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(30)
        assert.strictEqual((yield* lookup(gsrn, organisation)).status, 200)
        assert.strictEqual(yield* callsFor(gsrn), 1)
        yield* ageCopy(gsrn, "3 hours")
        assert.strictEqual((yield* lookup(gsrn, organisation)).status, 200)
        assert.strictEqual(yield* callsFor(gsrn), 2)
        const api = yield* ApiUnderTest
        const event = { gsrn, occurred_at: "2026-01-01T00:00:00Z" }
        yield* api.ask("/accounting_point/event", { key: keyOf("event"), body: event })
        assert.strictEqual((yield* lookup(gsrn, organisation)).status, 200)
        assert.strictEqual(yield* callsFor(gsrn), 3)
        assert.strictEqual((yield* lookup(gsrn, organisation)).status, 200)
        assert.strictEqual(yield* callsFor(gsrn), 3)
      })
    )

    it.effect("asks the adapter all the same when the caller wants no cache", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(31)
        yield* adapterKnows(answerFor(gsrn, person))
        assert.strictEqual((yield* lookup(gsrn, birthDate)).status, 403)
        assert.strictEqual((yield* lookup(gsrn, birthDate, { "cache-control": "max-age=0, No-Cache" })).status, 200)
        assert.strictEqual(yield* callsFor(gsrn), 2)
      })
    )
  })

  describe("that many make at the same time", () => {
    it.effect("leaves a point pending of which an event came while it was asked about for the first time", () =>
      Effect.gen(function* () {
        const api = yield* ApiUnderTest
        const { gate } = yield* AdapterSwitches
        const gsrn = gsrnOf(48)
        yield* adapterKnows(answerFor(gsrn, organisation))
        yield* gate.close
        const asking = yield* Effect.forkChild(lookup(gsrn, organisation))
        yield* Effect.repeat(callsFor(gsrn), { until: (calls) => calls === 1 })
        const told = yield* api.ask("/accounting_point/event", {
          key: keyOf("event"),
          body: { gsrn, occurred_at: "2026-01-01T00:00:00Z" }
        })
        assert.deepStrictEqual(told.json, { received: 1, recorded: 1, stale: 0, unknown: 0 })
        yield* gate.open
        assert.strictEqual((yield* Fiber.join(asking)).status, 200)
        const sql = yield* SqlClient.SqlClient
        const [row] =
          yield* sql`SELECT relevant, last_event_at > synced_event_at AS pending FROM flex.accounting_point_sync
          WHERE business_id = ${gsrn}`
        assert.deepStrictEqual(row, { relevant: true, pending: true })
        // As with every pending one, the next lookup asks as well, and that covers it.
        yield* lookup(gsrn, organisation)
        yield* lookup(gsrn, organisation)
        assert.strictEqual(yield* callsFor(gsrn), 2)
      }).pipe(Effect.ensuring(Effect.flatMap(AdapterSwitches, ({ gate }) => gate.open)))
    )

    it.effect("costs one call of the adapter, and goes on when the first caller leaves", () =>
      Effect.gen(function* () {
        const gsrn = gsrnOf(40)
        yield* adapterKnows(answerFor(gsrn, organisation))
        const { gate } = yield* AdapterSwitches
        const api = yield* ApiUnderTest
        yield* gate.close
        const asked = { key: keyOf("lookup"), body: { end_user: organisation, accounting_point: gsrn } }
        const request = requestOf("http://penstock.test", "/controllable_unit/lookup", asked)
        const first = yield* Effect.forkChild(Effect.promise((signal) => api.fetch(new Request(request, { signal }))))
        yield* Effect.repeat(callsFor(gsrn), { until: (calls) => calls === 1 })
        const others = yield* Effect.forkChild(
          Effect.all(Effect.replicate(lookup(gsrn, organisation, { "cache-control": "no-cache" }), 20), {
            concurrency: "unbounded"
          })
        )
        yield* Fiber.interrupt(first)
        yield* gate.open
        const answered = yield* Fiber.join(others)
        assert.deepStrictEqual([...new Set(answered.map(({ status }) => status))], [200])
        assert.isAtMost(yield* callsFor(gsrn), 2)
      })
    )

    it.effect("is answered each for itself, and every answer is in the audit trail before it is given", () =>
      Effect.gen(function* () {
        const gsrns = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, i) => i),
          (i) => kept(2_000 + i, i % 2 === 0 ? organisation : person)
        )
        const sql = yield* SqlClient.SqlClient
        const outcomesOf = (gsrn: string) => Effect.map(auditOf(gsrn), (audit) => audit.map(({ outcome }) => outcome))
        yield* sql`DELETE FROM flex.lookup_audit`
        const answered = yield* Effect.forEach(
          gsrns,
          (gsrn) =>
            Effect.flatMap(lookup(gsrn, organisation), (one) => Effect.zip(Effect.succeed(one), outcomesOf(gsrn))),
          { concurrency: "unbounded" }
        )
        answered.forEach(([one, outcomes], i) => {
          assert.strictEqual(one.status, i % 2 === 0 ? 200 : 403)
          assert.deepStrictEqual(outcomes, [i % 2 === 0 ? "match" : "mismatch"])
          if (i % 2 === 0) assert.strictEqual(lookupIn(one).accounting_point.business_id, gsrns[i])
        })
      })
    )
  })

  describe("while the adapter fails", () => {
    it.effect("is answered from a copy that is young enough, as stale and with its age", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(50, person)
        yield* ageCopy(gsrn, "3 hours")
        for (const error of [down("unavailable"), down("deadline"), down("invalid"), new AccountingPointUnknown()]) {
          const answered = yield* during(error, lookup(gsrn, birthDate))
          assert.strictEqual(answered.status, 200)
          assert.strictEqual(lookupIn(answered).stale, true)
          assert.approximately(Number(answered.headers.get("age")), 3 * 3600, 60)
        }
        const mismatch = yield* during(down("unavailable"), lookup(gsrn, "020290"))
        assert.strictEqual(mismatch.status, 403)
        assert.approximately(Number(mismatch.headers.get("age")), 3 * 3600, 60)
        const fresh = yield* lookup(gsrn, "030390")
        assert.strictEqual(fresh.status, 403)
        assert.isNull(fresh.headers.get("age"), "the adapter answers again")
      })
    )

    it.effect("is 502, or 504 after its deadline, when there is no such copy; and says when to try again", () =>
      Effect.gen(function* () {
        const old = yield* kept(51)
        yield* ageCopy(old, "25 hours")
        for (const gsrn of [old, gsrnOf(52)]) {
          const failed = yield* during(down("unavailable"), lookup(gsrn, organisation))
          assert.strictEqual(failed.status, 502)
          assert.strictEqual(failed.headers.get("retry-after"), "10")
          const slow = yield* during(down("deadline", 3.2), lookup(gsrn, organisation))
          assert.strictEqual(slow.status, 504)
          assert.strictEqual(slow.headers.get("retry-after"), "4")
          assert.strictEqual((yield* during(down("invalid"), lookup(gsrn, organisation))).status, 502)
          assert.strictEqual((yield* during(down("refused"), lookup(gsrn, organisation))).status, 502)
        }
        assert.strictEqual((yield* during(new AccountingPointUnknown(), lookup(old, organisation))).status, 404)
      })
    )
  })

  it.effect("is 503 when somebody else has been syncing it for over a second", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(60)
      const sql = yield* SqlClient.SqlClient
      const lock = sql`SELECT FROM flex.accounting_point_sync s JOIN flex.accounting_point a ON a.id = s.accounting_point_id
        WHERE a.business_id = ${gsrn} FOR UPDATE OF s`
      const [busy, fresh] = yield* Effect.andThen(
        lock,
        Effect.all([lookup(gsrn, organisation, { "cache-control": "no-cache" }), lookup(gsrn, organisation)])
      ).pipe(sql.withTransaction)
      assert.strictEqual(busy.status, 503)
      assert.strictEqual(busy.headers.get("retry-after"), "1")
      assert.strictEqual(problemIn(busy).type, "urn:penstock:problem:being-synced")
      assert.strictEqual(fresh.status, 200, "a fresh copy is answered from all the same")
    })
  )

  describe("that guesses", () => {
    it.effect("is 429 after five mismatches of one caller on one accounting point, whoever is right then", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(70, person)
        const guess = (endUser: string) => lookup(gsrn, endUser, {}, "lookup-key-guesser")
        for (let i = 0; i < 5; i++) assert.strictEqual((yield* guess(`0${i + 1}0280`)).status, 403)
        yield* ageCopy(gsrn, "3 hours")
        const calls = yield* callsFor(gsrn)
        const blocked = yield* guess(birthDate)
        assert.strictEqual(blocked.status, 429)
        assert.approximately(Number(blocked.headers.get("retry-after")), 3600, 30)
        assert.strictEqual(yield* callsFor(gsrn), calls, "the source is not asked on behalf of a blocked caller")
        assert.strictEqual((yield* lookup(gsrn, birthDate)).status, 200, "another caller is not affected")
        const elsewhere = yield* kept(71, person)
        assert.strictEqual((yield* lookup(elsewhere, birthDate, {}, "lookup-key-guesser")).status, 200)
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE flex.lookup_audit SET at = at - interval '61 minutes' WHERE caller = 'guesser'`
        assert.strictEqual((yield* guess(birthDate)).status, 200, "an hour later there are tries again")
      })
    )

    it.effect("gains nothing by guessing many at the same time", () =>
      Effect.gen(function* () {
        const gsrn = yield* kept(72, person)
        const guesses = Array.from({ length: 60 }, (_, i) => String(100_000 + i))
        const answered = yield* Effect.forEach(guesses, (one) => lookup(gsrn, one, {}, "lookup-key-burst"), {
          concurrency: "unbounded"
        })
        const refused = answered.filter(({ status }) => status === 403).length
        assert.strictEqual(refused, 5, "one instance counts them one after the other")
        assert.lengthOf(yield* auditOf(gsrn), 1 + refused)
        assert.lengthOf(answered, refused + answered.filter(({ status }) => status === 429).length)
      })
    )
  })

  describe("that is malformed", () => {
    const gsrn = gsrnOf(80)
    const cases: ReadonlyArray<readonly [string, unknown, RegExp]> = [
      ["has no end user", { accounting_point: gsrn }, /^end_user: is missing$/],
      ["has an empty end user", { end_user: "", accounting_point: gsrn }, /^end_user: must be a birth date/],
      ["has an end user of 11 digits", { end_user: person, accounting_point: gsrn }, /^end_user: must be a birth date/],
      ["has a number for a text", { end_user: 10_190, accounting_point: gsrn }, /^end_user: must be a string$/],
      ["names nothing", { end_user: organisation }, /must name exactly one/],
      [
        "names nothing but emptiness",
        { end_user: organisation, accounting_point: "", controllable_unit: "" },
        /exactly one/
      ],
      [
        "names both",
        { end_user: organisation, accounting_point: gsrn, controllable_unit: unitOf(1) },
        /must name exactly one/
      ],
      [
        "has a wrong check digit",
        { end_user: organisation, accounting_point: `${gsrn.slice(0, 17)}${(Number(gsrn[17]) + 1) % 10}` },
        /^accounting_point: must be a GSRN with a valid GS1 check digit/
      ],
      ["has a short GSRN", { end_user: organisation, accounting_point: "7070" }, /^accounting_point: must be a GSRN/],
      [
        "has an upper-case UUID",
        { end_user: organisation, controllable_unit: "A0000000-0000-4000-8000-000000000001" },
        /^controllable_unit: must be a version 4 UUID in lower case$/
      ],
      ["is a list", [], /^the body: must be an object$/],
      ["is null", null, /^the body: must be an object$/],
      ["is cut off", '{"end_user": "0101', /^the body: must be a valid JSON body$/],
      ["is empty", "", /^the body: must be an object$/]
    ]
    for (const [what, body, detail] of cases) {
      it.effect(`because it ${what} is 400 with a readable detail`, () =>
        Effect.gen(function* () {
          const answered = yield* ask(body)
          assert.strictEqual(answered.status, 400)
          assert.strictEqual(answered.headers.get("content-type"), "application/problem+json")
          assert.match(problemIn(answered).detail, detail)
        })
      )
    }

    it.effect("is not when the other identifier is empty or null", () =>
      Effect.gen(function* () {
        const known = yield* kept(81)
        for (const controllable_unit of ["", null]) {
          const answered = yield* ask({ end_user: organisation, accounting_point: known, controllable_unit, more: 1 })
          assert.strictEqual(answered.status, 200)
        }
      })
    )
  })
})

const insert = (gsrn: string, age: string | null) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`
      WITH point AS (INSERT INTO flex.accounting_point (business_id) VALUES (${gsrn}) RETURNING id),
        someone AS (INSERT INTO flex.end_user (business_id, type) VALUES (${organisation}, 'organisation')
          ON CONFLICT (business_id) DO UPDATE SET type = 'organisation' RETURNING id)
      INSERT INTO flex.accounting_point_end_user (accounting_point_id, end_user_id, valid_time_range)
      SELECT point.id, someone.id, tstzrange('2020-01-01', NULL) FROM point, someone`
  ).pipe(Effect.andThen(age === null ? Effect.void : ageCopy(gsrn, age)))

it.layer(layerAlone, { excludeTestServices: true })("a lookup without an adapter", (it) => {
  it.effect("is answered from what is here, however old, and says how old", () =>
    Effect.gen(function* () {
      const young = gsrnOf(1)
      const old = gsrnOf(2)
      const handmade = gsrnOf(3)
      yield* insert(young, "1 hour")
      yield* insert(old, "100 days")
      yield* insert(handmade, null)
      const fresh = yield* lookup(young, organisation)
      assert.strictEqual(fresh.status, 200)
      assert.isUndefined(lookupIn(fresh).stale)
      const stale = yield* lookup(old, organisation)
      assert.strictEqual(stale.status, 200)
      assert.strictEqual(lookupIn(stale).stale, true)
      assert.approximately(Number(stale.headers.get("age")), 100 * 86_400, 60)
      const neverSynced = yield* lookup(handmade, organisation)
      assert.strictEqual(lookupIn(neverSynced).stale, true)
      assert.isNull(neverSynced.headers.get("age"))
      assert.strictEqual((yield* lookup(old, "123456789")).status, 403)
    })
  )

  it.effect("is 404 for what is not here, and says that there is no adapter", () =>
    Effect.gen(function* () {
      const answered = yield* lookup(gsrnOf(4), organisation)
      assert.strictEqual(answered.status, 404)
      assert.include(problemIn(answered).detail, "no adapter is configured")
    })
  )
})
