/**
 * The simulated adapter keeps its word: the contract, a world that can be repeated, every fault, events that arrive.
 *
 * What it invents is checked against the service's own schemas; neither was written from the other.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Option, Schema, Scope } from "effect"
import {
  FetchHttpClient,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse,
  HttpRouter,
  HttpServer,
  HttpServerResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import { createServer } from "node:http"
import { AdapterSimulator, type AdapterSimulatorOptions } from "../../scripts/simulators/AdapterSimulator.ts"
import { accountingPointWorld } from "../../scripts/simulators/adapter/AccountingPointWorld.ts"
import { AdapterTally } from "../../scripts/simulators/adapter/AdapterStatistics.ts"
import { eventPoster, type EventOptions } from "../../scripts/simulators/adapter/EventPoster.ts"
import {
  eicOf,
  glnOf,
  gsrnOf,
  indexInGsrn,
  organisationNumber,
  personalNumber
} from "../../scripts/simulators/adapter/InventedNumbers.ts"
import { livingWorld } from "../../scripts/simulators/adapter/LivingWorld.ts"
import { day, formatOslo, osloMidnight, osloMidnightAfter } from "../../scripts/simulators/adapter/OsloMidnight.ts"
import { seededPermutation } from "../../scripts/simulators/adapter/SeededPermutation.ts"
import { rowsOf } from "../../scripts/simulators/adapter/Statement.ts"
import { timelineNames, type AccountingPointState } from "../../scripts/simulators/adapter/Timelines.ts"
import { seeded } from "../../scripts/simulators/SeededRandom.ts"
import { AdapterBody, answerFromBody } from "../../src/domain/AccountingPoint.ts"
import { EicY, EndUserClaim, EndUserNumber, Gln, Gsrn } from "../../src/domain/Identifiers.ts"
import { parseInstant } from "../../src/domain/Instant.ts"
import { PlainDate, startOfOsloDay } from "../../src/domain/OsloDay.ts"
import { CloudEvent, PlainEvent } from "../../src/domain/ThinEvent.ts"

/** A winter's day; the pure parts need no clock. */
const now = Date.UTC(2026, 10, 21, 12)
const world = (changesPerPointPerDay: number, points = 300, seed: string | number = 7) =>
  accountingPointWorld({ seed, points, changesPerPointPerDay, gridAreaMergersPerYear: 4 })

/** What is known at a moment of every point, about the time from `asked` on. */
const states = (of: ReturnType<typeof world>, at: number, asked = at) =>
  Array.from({ length: of.points }, (_, index) => of.stateAt(index, at, asked))

/** The supplier switch that is announced at a moment. */
const ahead = (state: AccountingPointState, at: number) => state.timelines.energy_supplier.find((row) => row.from > at)

/** How many grid areas there are in the end. */
const areas = (list: ReadonlyArray<AccountingPointState>) =>
  new Set(list.map((state) => state.timelines.metering_grid_area.at(-1)?.value)).size

const said = (from: number, value?: string) => ({ known: 0, from, value })

/** The control digit that a true personal number would carry. */
const control = (digits: string, weights: ReadonlyArray<number>) =>
  (11 - (weights.reduce((sum, weight, i) => sum + weight * Number(digits[i]), 0) % 11)) % 11

const draw = (...keys: ReadonlyArray<string | number>) => {
  const random = seeded(7, ...keys)
  return [random.next(), random.next(), random.int(1, 1e9)]
}

describe("Seeded chance", () => {
  it("gives the same numbers to the same seed and keys, and others to others", () => {
    assert.deepStrictEqual(draw("a", 1), draw("a", "1"))
    assert.notDeepEqual(draw("a", 1), draw("a", 2))
    assert.notDeepEqual(draw("1", "23"), draw("12", "3"))
  })

  it("reaches both ends of a range and every element of a list", () => {
    const random = seeded("range")
    const drawn = Array.from({ length: 500 }, () => random.int(-1, 2))
    assert.deepStrictEqual([...new Set(drawn)].sort(), [-1, 0, 1, 2])
    const picked = Array.from({ length: 100 }, () => random.pick(["x", "y"]))
    assert.deepStrictEqual([...new Set(picked)].sort(), ["x", "y"])
    assert.throws(() => random.pick([]), RangeError)
  })

  it.prop(
    "shuffles any number of places, there and back",
    { size: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3_000 })), key: Schema.Int },
    ({ size, key }) => {
      const shuffle = seededPermutation(size, "shuffle", key)
      const elements = Array.from({ length: size }, (_, place) => shuffle.at(place))
      assert.strictEqual(new Set(elements).size, size)
      assert.isTrue(elements.every((element, place) => element < size && shuffle.placeOf(element) === place))
    }
  )
})

describe("Invented numbers", () => {
  it("have the form the service asks for", () => {
    for (let i = 0; i < 1_000_000; i += 9_973) {
      assert.isTrue(Schema.is(Gsrn)(gsrnOf(i)) && gsrnOf(i).startsWith("7070575000"))
      assert.strictEqual(indexInGsrn(gsrnOf(i)), i)
      assert.isTrue(Schema.is(EndUserNumber)(organisationNumber(i)))
    }
    for (let i = 0; i < 300; i++) assert.isTrue(Schema.is(Gln)(glnOf(i)) && Schema.is(EicY)(eicOf(i)))
    assert.strictEqual(new Set(Array.from({ length: 300 }, (_, i) => eicOf(i))).size, 300)
  })

  it("of persons cannot belong to anybody, and begin with what a lookup gives as birth date", () => {
    const random = seeded("persons")
    for (let i = 0; i < 2_000; i++) {
      const number = personalNumber(random)
      assert.isTrue(Schema.is(EndUserNumber)(number) && Schema.is(EndUserClaim)(number.slice(0, 6)))
      assert.isAbove(Number(number.slice(0, 2)), 40)
      assert.notStrictEqual(control(number, [3, 7, 6, 1, 8, 9, 4, 5, 2]), Number(number[9]))
      assert.notStrictEqual(control(number, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]), Number(number[10]))
    }
  })

  it("days begin in Oslo when the service says they do", () => {
    for (let noon = Date.UTC(2019, 0, 1, 12); noon < Date.UTC(2032, 0, 1); noon += day) {
      const date = PlainDate.make(new Date(noon).toISOString().slice(0, 10))
      assert.strictEqual(osloMidnight(noon), startOfOsloDay(date))
      assert.strictEqual(osloMidnight(osloMidnight(noon)), osloMidnight(noon))
      assert.strictEqual(osloMidnightAfter(noon, 1), osloMidnight(noon + day))
      assert.deepStrictEqual(parseInstant(formatOslo(noon)), Option.some(noon))
    }
  })
})

describe("What was said", () => {
  it("counts from its own start on, the later word over the earlier", () => {
    assert.deepStrictEqual(rowsOf([said(20, "b"), said(10, "a")], 0, 0), [
      { value: "a", from: 10, to: 20 },
      { value: "b", from: 20, to: null }
    ])
    assert.deepStrictEqual(rowsOf([said(5, "b"), said(10, "a")], 0, 0), [{ value: "b", from: 5, to: null }])
  })

  it("may be that nothing holds, and never reaches before the beginning or the time asked about", () => {
    assert.deepStrictEqual(rowsOf([said(20), said(-50, "a")], 0, 3), [{ value: "a", from: 3, to: 20 }])
    assert.deepStrictEqual(rowsOf([said(20, "b"), said(10, "a")], 20, 0), [{ value: "b", from: 20, to: null }])
  })
})

describe("The invented world", () => {
  it("is the same whenever and in whatever order it is asked, and another for another seed", () => {
    const first = states(world(0.05), now)
    const second = world(0.05)
    states(second, now - 400 * day)
    assert.deepStrictEqual(states(second, now), first)
    assert.notDeepEqual(states(world(0.05, 300, 8), now), first)
  })

  it("gives every point timelines without holes or overlaps, from its connection on", () => {
    const many = world(0.05)
    for (const [index, state] of states(many, now, 0).entries()) {
      for (const name of timelineNames) {
        const rows = state.timelines[name]
        assert.strictEqual(rows[0]?.from, many.connectedAt(index))
        assert.isNull(rows.at(-1)?.to)
        for (let i = 1; i < rows.length; i++) assert.strictEqual(rows[i]?.from, rows[i - 1]?.to)
        assert.isTrue(rows.every(({ from, to }) => to === null || to > from))
      }
    }
  })

  it("changes only what it says it changes, at the rate that was asked for", () => {
    const of = world(0.05)
    let told = 0
    for (let hour = 0; hour < 40; hour++) {
      const [from, to] = [now + (hour * day) / 2, now + ((hour + 1) * day) / 2]
      const changed = [...of.changesBetween(from + 1, to + 1)]
      assert.isTrue(changed.every(({ at }, i) => at > from && at <= to + 1 && at >= (changed[i - 1]?.at ?? 0)))
      const indices = new Set(changed.map(({ index }) => index))
      told += changed.filter((change) => change.of !== "metering_grid_area").length
      // Asked about the same time, so that a difference is one of knowledge.
      const [before, after] = [states(of, from, from), states(of, to, from)]
      for (const index of before.keys()) {
        if (!indices.has(index)) assert.deepStrictEqual(after[index], before[index])
      }
    }
    assert.approximately(told, 300 * 20 * 0.05, 30)
  })

  it("announces switches ahead, reverts some, postpones some", () => {
    const of = world(0.05, 1_000)
    const seen = { reverted: 0, postponed: 0, kept: 0 }
    for (const { index, at } of of.changesBetween(now, now + 20 * day)) {
      const before = ahead(of.stateAt(index, at - 1, now), at)
      const after = ahead(of.stateAt(index, at + 1, now), at)
      if (before === undefined) continue
      if (after === undefined) seen.reverted++
      else if (after.value === before.value && after.from > before.from) seen.postponed++
      else seen.kept++
    }
    assert.isAbove(seen.reverted, 10)
    assert.isAbove(seen.postponed, 10)
    assert.isAbove(seen.kept, 10)
  })

  it("merges grid areas and withdraws locations now and then", () => {
    const of = world(0.05)
    const since2019 = states(of, now, Date.UTC(2019, 11, 31))
    const merged = since2019.filter((state) => state.timelines.metering_grid_area.length > 1)
    assert.isAbove(merged.length, 0)
    assert.isBelow(areas(states(of, now)), areas(states(of, Date.UTC(2019, 0, 1))))
    assert.isTrue(since2019.some((state) => state.location === null))
    assert.isTrue(since2019.some((state) => state.location === undefined))
  })

  it("stands still when nothing is to change", () => {
    const of = accountingPointWorld({ seed: 1, points: 50, changesPerPointPerDay: 0, gridAreaMergersPerYear: 0 })
    assert.deepStrictEqual(states(of, now + 1_000 * day, now), states(of, now, now))
    assert.deepStrictEqual([...of.changesBetween(0, now)], [])
    assert.isTrue(timelineNames.every((name) => states(of, now).every((state) => state.timelines[name].length === 1)))
  })

  it("can be a million points that change at any speed", () => {
    const of = world(1, 1_000_000)
    assert.approximately([...of.changesBetween(now, now + 60_000)].length, 1e6 / 1_440, 60)
    assert.strictEqual(of.stateAt(999_999, now).gsrn, gsrnOf(999_999))
    const frantic = world(100_000, 3)
    assert.isNotEmpty(frantic.stateAt(2, now, now - 60_000).timelines.end_user)
  })
})

/** A simulator of its own, on a free port, and a client for it. */
const simulated = (options: AdapterSimulatorOptions = {}) => started(options)

const started = Effect.fnUntraced(function* (options: AdapterSimulatorOptions) {
  const context = yield* Layer.build(AdapterSimulator.layer({ points: 200, seed: 7, ...options }))
  const simulator = Context.get(context, AdapterSimulator)
  const client = yield* HttpClient.HttpClient
  const ask = (gsrn: string, query = `valid_from=${today}`, key = simulator.apiKey) =>
    HttpClientRequest.get(`${simulator.url}/accounting_point/${gsrn}?${query}`).pipe(
      HttpClientRequest.bearerToken(key),
      client.execute
    )
  const body = (gsrn: string, query?: string) => Effect.flatMap(ask(gsrn, query), (response) => response.json)
  const send = (method: "PUT" | "PATCH" | "POST", path: string, content: unknown) =>
    HttpClientRequest.make(method)(simulator.url + path).pipe(HttpClientRequest.bodyJsonUnsafe(content), client.execute)
  const get = (path: string) => Effect.flatMap(client.get(simulator.url + path), (response) => response.json)
  return { simulator, ask, body, send, get }
}, Effect.provide(FetchHttpClient.layer))

const today = encodeURIComponent(formatOslo(osloMidnight(now)))
const decodeBody = Schema.decodeUnknownEffect(AdapterBody)

describe("The adapter contract", () => {
  it.live("is kept in a form the service reads, for every manner a point has of answering", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated({ changesPerPointPerDay: 0.05 })
      const texts: Array<string> = []
      for (let index = 0; index < 200; index++) {
        const { gsrn, state } = yield* simulator.point(index)
        const text = yield* Effect.flatMap(ask(gsrn, "valid_from=2026-01-01T00:00:00Z"), (response) => response.text)
        const answer = answerFromBody(Gsrn.make(gsrn), yield* decodeBody(JSON.parse(text)))
        if (typeof answer === "string") return assert.fail(answer)
        const supplier = answer.timelines.energy_supplier.toSorted((a, b) => a.from - b.from).at(-1)
        assert.strictEqual(supplier?.value, state?.timelines.energy_supplier.at(-1)?.value)
        assert.strictEqual(supplier?.from, state?.timelines.energy_supplier.at(-1)?.from)
        assert.deepStrictEqual(answer.location, state?.location ?? undefined)
        texts.push(text)
      }
      for (const seen of ["+01:00", ".000Z", ":00Z", "+00:00", '"valid_to":null', '"entity_type"', '"latitude":null']) {
        assert.isTrue(
          texts.some((text) => text.includes(seen)),
          seen
        )
        assert.isTrue(
          texts.some((text) => !text.includes(seen)),
          `none without ${seen}`
        )
      }
      for (const seen of ["energy_direction", "latitude", "revision"]) {
        assert.isTrue(
          texts.some((text) => !text.includes(seen)),
          `none without ${seen}`
        )
      }
      assert.isTrue(texts.every((text) => text.includes("settlement")))
    })
  )

  it.live("answers for the time that was asked about, cut to it only when told to", () =>
    Effect.gen(function* () {
      const { simulator, body } = yield* simulated()
      const { gsrn } = yield* simulator.point(3)
      yield* simulator.change(gsrn, { kind: "switch", valid_from: "2040-01-01T00:00:00Z", value: glnOf(900) })
      const suppliers = (query: string) =>
        Effect.map(Effect.flatMap(body(gsrn, query), decodeBody), (answer) =>
          answer.energy_supplier.toSorted((a, b) => a.valid_from - b.valid_from)
        )
      const all = yield* suppliers("valid_from=2026-01-01T00:00:00Z")
      assert.lengthOf(all, 2)
      assert.isBelow(all[0]?.valid_from ?? 0, Date.UTC(2026, 0, 1))
      const early = yield* suppliers("valid_from=2026-01-01T00:00:00Z&valid_to=2040-01-01T00:00:00Z")
      assert.deepStrictEqual(early, all.slice(0, 1))
      const late = yield* suppliers("valid_from=2040-01-01T01:00:00%2B01:00")
      assert.deepStrictEqual(late, all.slice(1))

      yield* simulator.faults.set({ clip: 1 })
      const clipped = yield* suppliers("valid_from=2026-01-01T00:00:00Z")
      assert.deepStrictEqual(
        clipped.map((row) => row.valid_from),
        [Date.UTC(2026, 0, 1), Date.UTC(2040, 0, 1)]
      )
    })
  )

  it.live("refuses a wrong key, a malformed question and an unknown point", () =>
    Effect.gen(function* () {
      const { ask } = yield* simulated()
      const statusOf = (gsrn: string, query?: string, key?: string) =>
        Effect.map(ask(gsrn, query, key), (response) => response.status)
      const denied = yield* ask(gsrnOf(0), undefined, "another")
      assert.strictEqual(denied.status, 401)
      assert.strictEqual(denied.headers["www-authenticate"], "Bearer")
      assert.strictEqual(denied.headers["content-type"], "application/problem+json")
      assert.strictEqual(yield* statusOf(gsrnOf(200)), 404)
      assert.strictEqual(yield* statusOf(gsrnOf(0).replace(/.$/, "0")), 400)
      assert.strictEqual(yield* statusOf("12345"), 400)
      assert.strictEqual(yield* statusOf(gsrnOf(0), ""), 400)
      assert.strictEqual(yield* statusOf(gsrnOf(0), "valid_from=2026-01-01T00:00:00"), 400)
      assert.strictEqual(yield* statusOf(gsrnOf(0), "valid_from=2026-01-01T00:00:00+01:00"), 400)
      assert.strictEqual(yield* statusOf(gsrnOf(0), `valid_from=${today}&valid_to=2020-01-01T00:00:00Z`), 400)
    })
  )

  it.live("says of every point what a lookup has to give", () =>
    Effect.gen(function* () {
      const { simulator, body } = yield* simulated()
      for (let index = 0; index < 50; index++) {
        const { gsrn, lookupEndUser = "" } = yield* simulator.point(index)
        assert.isTrue(Schema.is(EndUserClaim)(lookupEndUser))
        const { end_user } = yield* Effect.flatMap(body(gsrn), decodeBody)
        assert.isTrue(end_user.every((row) => row.business_id.startsWith(lookupEndUser)))
      }
    })
  )
})

describe("Faults", () => {
  it.live("that are statuses come as such, with Retry-After where it belongs", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated({ faults: { retry_after: 7 } })
      const expected = {
        error: 500,
        unavailable: 503,
        busy: 429,
        timeout: 408,
        not_found: 404,
        forbidden: 403
      } as const
      for (const fault of ["error", "unavailable", "busy", "timeout", "not_found", "forbidden"] as const) {
        yield* simulator.faults.set({ chances: { [fault]: 1 }, retry_after: 7 })
        const response = yield* ask(gsrnOf(1))
        assert.strictEqual(response.status, expected[fault])
        const waits = fault === "unavailable" || fault === "busy"
        assert.strictEqual(response.headers["retry-after"], waits ? "7" : undefined)
      }
    })
  )

  it.live("that spoil an answer leave nothing the service could take", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated()
      const faults = ["garbage", "truncated", "wrong_content_type", "other_gsrn"] as const
      for (const fault of [...faults, "missing_field", "malformed_value", "overlapping_rows"] as const) {
        yield* simulator.faults.set({ chances: { [fault]: 1 } })
        // Often enough that every field has been the one that is hit.
        for (let i = 0; i < 25; i++) {
          const response = yield* ask(gsrnOf(i))
          assert.strictEqual(response.status, 200)
          const read = yield* Effect.exit(
            Effect.map(Effect.flatMap(response.json, decodeBody), (body) => answerFromBody(Gsrn.make(gsrnOf(i)), body))
          )
          assert.isTrue(Exit.isFailure(read) || typeof read.value === "string", `${fault} was read`)
        }
      }
      const { by_fault } = yield* simulator.statistics
      assert.strictEqual(by_fault["missing_field"], 25)
    })
  )

  it.live("can be a body as large as one likes, which is still a right answer", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated()
      yield* simulator.faults.set({ chances: { huge_body: 1 }, huge_body_bytes: 3_000_000 })
      const text = yield* Effect.flatMap(ask(gsrnOf(1)), (response) => response.text)
      assert.isAbove(text.length, 3_000_000)
      assert.isNotString(answerFromBody(Gsrn.make(gsrnOf(1)), yield* decodeBody(JSON.parse(text))))
    })
  )

  it.live("can cut the connection, before the answer and in the middle of it", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated()
      yield* simulator.faults.set({ chances: { reset: 1 } })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(ask(gsrnOf(1)))))
      yield* simulator.faults.set({ chances: { cut_off: 1 } })
      const response = yield* ask(gsrnOf(1))
      assert.strictEqual(response.status, 200)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(response.text)))
      yield* until(simulator.statistics, ({ in_flight }) => in_flight === 0)
      const { by_outcome } = yield* simulator.statistics
      // A client may try once more after a reset.
      assert.isAtLeast(by_outcome["reset"] ?? 0, 1)
      assert.strictEqual(by_outcome["cut_off"], 1)
    })
  )

  it.live("can be silence, which ends with the caller's patience or with the simulator", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { simulator, ask } = yield* Scope.provide(simulated({ faults: { chances: { hang: 1 } } }), scope)
      const impatient = yield* Effect.exit(Effect.timeout(ask(gsrnOf(1)), "100 millis"))
      assert.isTrue(Exit.isFailure(impatient))
      yield* until(simulator.statistics, ({ by_outcome, in_flight }) => by_outcome["hang"] === 1 && in_flight === 0)
      const patient = yield* Effect.forkChild(Effect.exit(ask(gsrnOf(2))))
      yield* until(simulator.statistics, ({ in_flight }) => in_flight === 1)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(patient)))
    })
  )

  it.live("can take the whole adapter away and give it back, which the control surface survives", () =>
    Effect.gen(function* () {
      const { ask, send } = yield* simulated()
      const status = Effect.map(ask(gsrnOf(1)), (response) => response.status)
      yield* send("PATCH", "/simulator/faults", { outage: "unavailable" })
      assert.strictEqual(yield* status, 503)
      yield* send("PATCH", "/simulator/faults", { outage: "reset" })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(status)))
      yield* send("PATCH", "/simulator/faults", { outage: "none" })
      assert.strictEqual(yield* status, 200)
    })
  )

  it.live("of one point touch no other, and heal after as often as was said", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated()
      yield* simulator.faults.set({ points: { [gsrnOf(1)]: { fault: "error", times: 2 } } })
      const statuses: Array<number> = []
      for (const index of [1, 2, 1, 2, 1, 2]) statuses.push((yield* ask(gsrnOf(index))).status)
      assert.deepStrictEqual(statuses, [500, 200, 500, 200, 200, 200])
    })
  )

  it.live("come by chance as often as was said, and in every run at the same requests", () =>
    Effect.gen(function* () {
      const run = Effect.gen(function* () {
        const { ask } = yield* simulated({ faults: { chances: { unavailable: 0.3, error: 0.1 } } })
        return yield* Effect.forEach(Array.from({ length: 400 }), (_, i) =>
          Effect.map(ask(gsrnOf(i % 100)), (response) => response.status)
        )
      })
      const first = yield* run
      assert.approximately(first.filter((status) => status === 503).length, 120, 40)
      assert.approximately(first.filter((status) => status === 500).length, 40, 25)
      assert.deepStrictEqual(yield* run, first)
    })
  )

  it.effect("delay every answer by Effect's clock, more for a point that is slow", () =>
    Effect.gen(function* () {
      const { simulator, ask } = yield* simulated({ faults: { latency: 50 } })
      yield* simulator.faults.set({ latency: 50, points: { [gsrnOf(2)]: { latency: 5_000 } } })
      const [usual, slow] = [yield* Effect.forkChild(ask(gsrnOf(1))), yield* Effect.forkChild(ask(gsrnOf(2)))]
      yield* TestClock.withLive(until(simulator.statistics, ({ in_flight }) => in_flight === 2))
      yield* TestClock.adjust("50 millis")
      assert.strictEqual((yield* Fiber.join(usual)).status, 200)
      assert.strictEqual((yield* simulator.statistics).in_flight, 1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(slow)).status, 200)
    })
  )
})

describe("The control surface", () => {
  it.live("counts what was asked, and forgets it when told to", () =>
    Effect.gen(function* () {
      const { simulator, ask, get, send } = yield* simulated({ faults: { latency: 20 } })
      yield* Effect.forEach([1, 1, 1, 2, 999], (index) => ask(gsrnOf(index)), { concurrency: 5 })
      const counted = yield* simulator.statistics
      assert.strictEqual(counted.asked, 5)
      assert.deepStrictEqual(counted.by_outcome, { "200": 4, "404": 1 })
      assert.strictEqual(counted.distinct_points, 2)
      assert.deepStrictEqual(counted.top[0], { gsrn: gsrnOf(1), asked: 3 })
      assert.isAtLeast(counted.max_in_flight, 2)
      assert.strictEqual(counted.in_flight, 0)
      assert.deepStrictEqual(yield* get("/simulator/statistics"), JSON.parse(JSON.stringify(counted)))
      const [first] = yield* simulator.requests
      assert.strictEqual(first?.valid_from, decodeURIComponent(today))
      assert.isAtLeast((first?.ended_at ?? 0) - (first?.at ?? 0), 15)

      yield* simulator.change(gsrnOf(1), { kind: "forget" })
      yield* simulator.faults.set({ chances: { error: 1 } })
      assert.strictEqual((yield* send("POST", "/simulator/reset", {})).status, 204)
      assert.strictEqual((yield* simulator.statistics).asked, 0)
      assert.strictEqual((yield* simulator.faults.get).latency, 20)
      assert.strictEqual((yield* ask(gsrnOf(1))).status, 200)
    })
  )

  it.live("replaces faults with PUT, changes some with PATCH, and says what is wrong with others", () =>
    Effect.gen(function* () {
      const { simulator, send } = yield* simulated()
      yield* send("PUT", "/simulator/faults", { latency: 5, chances: { error: 0.5 } })
      yield* send("PATCH", "/simulator/faults", { jitter: 3 })
      const { latency, jitter, chances } = yield* simulator.faults.get
      assert.deepStrictEqual({ latency, jitter, chances }, { latency: 5, jitter: 3, chances: { error: 0.5 } })
      yield* send("PUT", "/simulator/faults", { jitter: 1 })
      assert.deepStrictEqual((yield* simulator.faults.get).chances, {})
      for (const wrong of [
        { latency: -1 },
        { chances: { eror: 1 } },
        { chances: { error: 0.6, hang: 0.6 } },
        { lag: 1 },
        7
      ]) {
        const response = yield* send("PUT", "/simulator/faults", wrong)
        assert.strictEqual(response.status, 400)
        assert.include(yield* response.text, "cannot be read")
      }
    })
  )

  it.live("lists points page by page, with what a lookup gives", () =>
    Effect.gen(function* () {
      const { simulator, get } = yield* simulated()
      const page = yield* Effect.flatMap(get("/simulator/points?offset=198&limit=5"), decodePage)
      assert.strictEqual(page.total, 200)
      assert.isNull(page.next_offset)
      const last = yield* simulator.point(199)
      assert.deepStrictEqual(
        page.items.map(({ gsrn }) => gsrn),
        [gsrnOf(198), gsrnOf(199)]
      )
      assert.strictEqual(page.items[1]?.end_user, last.lookupEndUser)
      assert.strictEqual((yield* Effect.flatMap(get("/simulator/points"), decodePage)).next_offset, 100)
    })
  )

  it.live("changes a point as it is told to", () =>
    Effect.gen(function* () {
      const { simulator, send, ask, body } = yield* simulated()
      const gsrn = gsrnOf(4)
      const change = (order: object) =>
        Effect.map(send("POST", `/simulator/change/${gsrn}`, order), (response) => response.status)
      const rows = Effect.map(simulator.point(4), ({ state }) => state?.timelines)
      const before = yield* simulator.point(4)

      assert.strictEqual(yield* change({ kind: "move", value: "45019912345" }), 200)
      assert.strictEqual((yield* simulator.point(4)).lookupEndUser, "450199")
      assert.strictEqual(yield* change({ kind: "revert" }), 409)
      assert.strictEqual(yield* change({ kind: "switch", value: glnOf(901) }), 200)
      const announced = (yield* rows)?.energy_supplier.at(-1)
      assert.strictEqual(announced?.value, glnOf(901))
      assert.strictEqual(yield* change({ kind: "postpone" }), 200)
      assert.strictEqual((yield* rows)?.energy_supplier.at(-1)?.from, (announced?.from ?? 0) + 7 * day)
      assert.strictEqual(yield* change({ kind: "revert" }), 200)
      assert.deepStrictEqual((yield* rows)?.energy_supplier, before.state?.timelines.energy_supplier)
      assert.strictEqual(yield* change({ kind: "merge" }), 200)
      assert.lengthOf((yield* rows)?.metering_grid_area ?? [], 2)
      const direction = (yield* rows)?.energy_direction.at(-1)?.value
      assert.strictEqual(yield* change({ kind: "turn" }), 200)
      assert.notStrictEqual((yield* rows)?.energy_direction.at(-1)?.value, direction)
      assert.strictEqual(yield* change({ kind: "empty", timeline: "energy_supplier" }), 200)
      assert.deepStrictEqual((yield* Effect.flatMap(body(gsrn), decodeBody)).energy_supplier, [])
      assert.strictEqual(yield* change({ kind: "relocate", latitude: 60, longitude: 10 }), 200)
      assert.deepStrictEqual((yield* simulator.point(4)).state?.location, { latitude: 60, longitude: 10 })
      assert.strictEqual(yield* change({ kind: "withdraw_location" }), 200)
      assert.isNull((yield* simulator.point(4)).state?.location)
      assert.strictEqual(yield* change({ kind: "forget" }), 200)
      assert.strictEqual((yield* ask(gsrn)).status, 404)
      assert.strictEqual(yield* change({ kind: "restore" }), 200)
      assert.deepStrictEqual(yield* simulator.point(4), before)

      assert.strictEqual(yield* change({ kind: "explode" }), 400)
      assert.strictEqual((yield* send("POST", `/simulator/change/${gsrnOf(200)}`, { kind: "move" })).status, 404)
    })
  )
})

describe("Virtual time", () => {
  it.effect("brings the future about sooner, and an ordered move at once all the same", () =>
    Effect.gen(function* () {
      const of = (speed: number) =>
        livingWorld({
          seed: 7,
          points: 50,
          changesPerPointPerDay: 0.05,
          gridAreaMergersPerYear: 0,
          speed,
          startedAt: now
        })
      const [usual, fast] = [of(1), of(100)]
      assert.deepStrictEqual(fast.stateAt(3, now), usual.stateAt(3, now))
      assert.deepStrictEqual(fast.stateAt(3, now + day, now), usual.stateAt(3, now + 100 * day, now))
      assert.lengthOf([...fast.changesBetween(now, now + day)], [...usual.changesBetween(now, now + 100 * day)].length)
      yield* fast.change(3, { kind: "move", value: "45019912345" }, now + day)
      assert.strictEqual(fast.lookupEndUser(3, now + day), "450199")
    })
  )
})

/** A receiver of thin events that keeps what it got, and answers with the statuses it is given, then 200. */
const receiver = (statuses: Array<number> = []) => {
  const got: Array<{ readonly type: string | undefined; readonly key: string | undefined; readonly body: unknown }> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const status = statuses.shift() ?? 200
      if (status === 200) {
        got.push({
          type: request.headers["content-type"],
          key: request.headers["authorization"],
          body: JSON.parse(body)
        })
      }
      const headers: Record<string, string> = status === 503 ? { "retry-after": "30" } : {}
      return HttpClientResponse.fromWeb(
        request,
        new Response('{"received":1,"recorded":1,"stale":0,"unknown":0}', { status, headers })
      )
    })
  )
  return { got, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

const decodeEvents = (type: string | undefined, body: unknown) => {
  const list = Array.isArray(body) ? body : [body]
  return type?.startsWith("application/cloudevents") === true
    ? list
        .map((event) => Schema.decodeUnknownSync(CloudEvent)(event))
        .map(({ subject, time }) => ({ gsrn: subject, at: time }))
    : list
        .map((event) => Schema.decodeUnknownSync(PlainEvent)(event))
        .map(({ gsrn, occurred_at }) => ({ gsrn, at: occurred_at }))
}

/** A world in which much happens, a poster of its events and what tells of them. */
const posting = Effect.fnUntraced(function* (
  to: ReturnType<typeof receiver>,
  options: Partial<EventOptions> & { readonly speed?: number } = {}
) {
  yield* TestClock.setTime(now)
  const of = livingWorld({
    seed: 7,
    points: 200,
    changesPerPointPerDay: 0.5,
    gridAreaMergersPerYear: 0,
    speed: options.speed ?? 1,
    startedAt: now
  })
  const tally = new AdapterTally(200)
  const poster = yield* eventPoster(7, of, tally, { url: "http://penstock", key: "k", batchSize: 10, ...options }).pipe(
    Effect.provide(to.layer)
  )
  const events = () => to.got.flatMap(({ type, body }) => decodeEvents(type, body))
  return { of, tally, poster, events }
})

describe("Thin events", () => {
  it.effect("tell of every change once, plain and as CloudEvents in turn", () =>
    Effect.gen(function* () {
      const to = receiver()
      const { of, poster, events, tally } = yield* posting(to)
      yield* TestClock.adjust("12 hours")
      yield* poster.runOnce
      yield* TestClock.adjust("12 hours")
      yield* poster.runOnce
      const expected = [...of.changesBetween(now, now + day)].map(({ index, at }) => ({ gsrn: gsrnOf(index), at }))
      assert.deepStrictEqual(events(), expected)
      assert.approximately(expected.length, 100, 15)
      assert.isTrue(to.got.every(({ key, body }) => key === "Bearer k" && (!Array.isArray(body) || body.length <= 10)))
      assert.deepStrictEqual(
        to.got.slice(0, 3).map(({ type }) => type),
        ["application/json", "application/cloudevents-batch+json", "application/json"]
      )
      assert.strictEqual(tally.events.posted, expected.length)
      assert.strictEqual(tally.events.recorded, tally.events.batches)
    })
  )

  it.effect("tell of changes that were ordered, singly in their single forms, unless they are to be kept quiet", () =>
    Effect.gen(function* () {
      const to = receiver()
      const { of, poster, events } = yield* posting(to)
      yield* of.change(5, { kind: "move" }, yield* Clock.currentTimeMillis)
      yield* of.change(6, { kind: "move", event: false }, yield* Clock.currentTimeMillis)
      yield* poster.runOnce
      yield* of.change(7, { kind: "switch" }, yield* Clock.currentTimeMillis)
      yield* poster.runOnce
      yield* poster.runOnce
      assert.deepStrictEqual(
        events().map(({ gsrn }) => gsrn),
        [Gsrn.make(gsrnOf(5)), Gsrn.make(gsrnOf(7))]
      )
      assert.deepStrictEqual(
        to.got.map(({ type }) => type),
        ["application/json", "application/cloudevents+json"]
      )
      assert.isFalse(to.got.some(({ body }) => Array.isArray(body)))
    })
  )

  it.effect("are tried again until they are taken, not sooner than the receiver asks", () =>
    Effect.gen(function* () {
      const to = receiver([503, 500])
      const { of, poster, events, tally } = yield* posting(to)
      yield* of.change(5, { kind: "move" }, now)
      const pass = yield* Effect.forkChild(poster.runOnce)
      yield* TestClock.adjust("29 seconds")
      assert.lengthOf(events(), 0)
      yield* TestClock.adjust("31 seconds")
      yield* Fiber.join(pass)
      assert.strictEqual(events()[0]?.gsrn, gsrnOf(5))
      assert.strictEqual(tally.events.retries, 2)
    })
  )

  it.effect("are left out when they are refused for good", () =>
    Effect.gen(function* () {
      const to = receiver([401])
      const { of, poster, events, tally } = yield* posting(to)
      yield* of.change(5, { kind: "move" }, now)
      yield* poster.runOnce
      yield* of.change(6, { kind: "move" }, now)
      yield* poster.runOnce
      assert.deepStrictEqual(
        events().map(({ gsrn }) => gsrn),
        [Gsrn.make(gsrnOf(6))]
      )
      assert.strictEqual(tally.events.refused, 1)
    })
  )

  it.effect("may come twice, and with old news among them", () =>
    Effect.gen(function* () {
      const to = receiver()
      const { of, poster, events } = yield* posting(to, { duplicates: 0.5, late: 0.5 })
      yield* TestClock.adjust("1 day")
      yield* poster.runOnce
      const fresh = [...of.changesBetween(now, now + day)]
      const all = events()
      const twice = all.filter((event, i) => event.at === all[i - 1]?.at && event.gsrn === all[i - 1]?.gsrn)
      assert.isAbove(twice.length, 20)
      assert.isAbove(all.length - twice.length - fresh.length, 20)
    })
  )

  it.effect("never lie in the future, however fast virtual time passes", () =>
    Effect.gen(function* () {
      const to = receiver()
      const { poster, events } = yield* posting(to, { speed: 1_440 })
      yield* TestClock.adjust("1 minute")
      yield* poster.runOnce
      assert.approximately(events().length, 100, 15)
      assert.isTrue(events().every(({ at }) => at >= now && at <= now + 60_000))
    })
  )

  it.live("are posted by the running simulator while it runs", () =>
    Effect.gen(function* () {
      const got: Array<unknown> = []
      const url = yield* served((body) => {
        got.push(body)
        return { received: 1, recorded: 0, stale: 0, unknown: 1 }
      })
      const { simulator } = yield* simulated({ events: { url, key: "k", every: "10 millis" } })
      yield* simulator.change(gsrnOf(1), { kind: "move" })
      yield* until(simulator.statistics, ({ events }) => events.unknown === 1)
      assert.deepStrictEqual(
        got.map((event) => Schema.decodeUnknownSync(PlainEvent)(event).gsrn),
        [gsrnOf(1)]
      )
    })
  )
})

/** A real server that takes thin events and answers with what is made of them; its address. */
const served = Effect.fnUntraced(function* (take: (body: unknown) => object) {
  const route = HttpRouter.add("POST", "/accounting_point/event", (request) =>
    Effect.map(request.json, (body) => HttpServerResponse.jsonUnsafe(take(body)))
  )
  const server = NodeHttpServer.layer(() => createServer(), {
    port: 0,
    host: "127.0.0.1",
    disablePreemptiveShutdown: true
  })
  const context = yield* Layer.build(
    HttpRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(Layer.provideMerge(server))
  )
  return HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
})

const decodePage = Schema.decodeUnknownEffect(
  Schema.Struct({
    items: Schema.Array(Schema.Struct({ gsrn: Schema.String, end_user: Schema.String })),
    total: Schema.Int,
    next_offset: Schema.NullOr(Schema.Int)
  })
)

/** Waits until the condition holds. */
const until = <A>(look: Effect.Effect<A>, holds: (a: A) => boolean): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.flatMap(look, (a) => (holds(a) ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), until(look, holds))))
  )
