/** How each flow does in one sentence: each cause once, its colour by the bounds of `/health/progress`. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { nothingWaits, type Waiting } from "../../src/api/DueWork.ts"
import { eventGroup } from "../../src/api/eventStage.ts"
import { describeFlows, type Facts, timeWords } from "../../src/api/flowSentences.ts"
import type { Count, ServerView } from "../../src/api/Overview.ts"
import { mapperGroup } from "../../src/stream/mappingStage.ts"
import { storeGroup } from "../../src/stream/observationStage.ts"
import { boundsOf, overdue, type WorkKind } from "../../src/api/Progress.ts"

const exact = (value: number): Count => ({ value, is: "exact" })
const at = Date.UTC(2026, 0, 1)
const bounds = boundsOf({
  interval: Duration.minutes(5),
  within: Duration.hours(24),
  deadAfter: Duration.minutes(10)
})

const server = (n: number, more: Partial<ServerView> = {}): ServerView => ({
  origin: `http://s${n}.example`,
  state: "well",
  reason: null,
  asked_again_at: null,
  pace: 1,
  requests_per_second: 20,
  max_concurrent: 4,
  in_flight: 0,
  recent_millis: 0,
  usual_millis: 0,
  failures: 0,
  tasks: exact(10),
  due: exact(0),
  late_seconds: null,
  set_aside: exact(0),
  failing: exact(0),
  source_ids: [n],
  ...more
})
const source = (id: number, problem: string | null = null, paused = false) => ({
  id,
  council_id: id,
  origin: `http://s${id}.example`,
  address: `http://s${id}.example/a.hts`,
  paused,
  problem,
  measurement_names: []
})

/** All is well: 5,000 points, 2 servers, and everything read. */
const well: Facts = {
  at,
  accounting_points: {
    configured: true,
    relevant: exact(5_000),
    fresh: exact(5_000),
    never_synced: exact(0),
    late: exact(0),
    within_seconds: 86_400,
    ages: [],
    lanes: [{ lane: "longest_unsynced", rows: exact(5_000), oldest_seconds: 3 * 3_600 }],
    failures: [],
    adapter: {
      configured: true,
      rate_limit_per_second: null,
      calls_per_second: 0,
      answered_per_second: 0,
      failed_per_second: 0,
      mean_millis: null,
      slowest_millis: null,
      told_seconds_ago: null,
      circuit: { state: "closed", since: null, next_call_at: null, reporters: 1 }
    }
  },
  hilltop: {
    servers: [server(1), server(2)],
    servers_total: 2,
    sources: [source(1), source(2)],
    sources_total: 2,
    tasks: exact(20),
    due: exact(1),
    in_flight: 3,
    failing: exact(0),
    set_aside: []
  },
  streams: {
    kafka: false,
    groups: [],
    dead_letters: [{ topic: "hilltop_raw", count: 2, not_redriven: 0 }],
    problem: null
  },
  waiting: nothingWaits,
  bounds,
  useless: { bound: Duration.minutes(10), adapterSeconds: 0 },
  stuck: []
}
type Changes = {
  readonly points?: Partial<Facts["accounting_points"]>
  readonly hilltop?: Partial<Facts["hilltop"]>
  readonly streams?: Partial<Facts["streams"]>
  readonly waiting?: Partial<Waiting>
  readonly stuck?: ReadonlyArray<string>
  readonly adapterSeconds?: number
}
const flowsOf = ({ adapterSeconds = 0, hilltop, points, streams, stuck = [], waiting }: Changes = {}) => {
  const [first, second, third] = describeFlows({
    ...well,
    accounting_points: { ...well.accounting_points, ...points },
    hilltop: { ...well.hilltop, ...hilltop },
    streams: { ...well.streams, ...streams },
    waiting: { ...nothingWaits, ...waiting },
    useless: { ...well.useless, adapterSeconds },
    stuck
  })
  return { points: first!, hilltop: second!, streams: third! }
}
const circuit = (state: "open" | "doubted", next_call_at: number | null) => ({
  adapter: { ...well.accounting_points.adapter, circuit: { state, since: at, next_call_at, reporters: 1 } }
})

describe("the sentence of a flow", () => {
  it("is green and says what is there while nothing is wrong", () => {
    const { hilltop, points, streams } = flowsOf()
    assert.deepStrictEqual(
      [points, hilltop, streams].map(({ causes, colour, sentence }) => [colour, causes, sentence]),
      [
        ["green", [], "All 5,000 accounting points fresh; the oldest was synced 3 h ago."],
        ["green", [], "All 2 servers answer; 1 request due, 3 in flight."],
        ["green", [], "All records are read; no dead letters wait."]
      ]
    )
    const noAge = { lanes: [{ lane: "longest_unsynced" as const, rows: exact(0), oldest_seconds: null }] }
    assert.strictEqual(flowsOf({ points: noAge }).points.sentence, "All 5,000 accounting points fresh.")
    const none = { relevant: exact(0), fresh: exact(0), lanes: [] }
    assert.strictEqual(flowsOf({ points: none }).points.sentence, "No accounting point has to be kept yet.")
    assert.strictEqual(
      flowsOf({ hilltop: { sources: [], servers: [], servers_total: 0 } }).hilltop.sentence,
      "No source is configured yet."
    )
    const first = { fresh: exact(1_000), never_synced: { value: 1_000, is: "at_least" as const } }
    assert.strictEqual(
      flowsOf({ points: first }).points.sentence,
      "1,000 of 5,000 accounting points fresh; more than 1,000 wait for their first sync."
    )
  })

  it("is red exactly when the work that waits is past the bound of the health check, with the cause once", () => {
    const kinds: ReadonlyArray<readonly [WorkKind, "points" | "hilltop" | "streams", string]> = [
      ["event", "points", "events_waiting"],
      ["sync", "points", "late"],
      ["abandonedSync", "points", "abandoned"],
      ["request", "hilltop", "requests_waiting"],
      ["abandonedRequest", "hilltop", "abandoned"],
      ["record", "streams", "records_waiting"]
    ]
    for (const [kind, flow, cause] of kinds) {
      const bound = Duration.toSeconds(bounds[kind])
      for (const seconds of [bound, bound + 1]) {
        const waiting = { [kind]: seconds }
        const isRed = overdue({ ...nothingWaits, ...waiting }, bounds, true).length > 0
        const flows = flowsOf({ waiting })
        assert.deepStrictEqual(
          [flows[flow].colour, flows[flow].causes],
          isRed ? ["red", [cause]] : ["green", []],
          `${kind} ${seconds}`
        )
        assert.strictEqual(isRed, seconds > bound)
        const colours = Object.values(flows).filter(({ colour }) => colour !== "green")
        assert.lengthOf(colours, isRed ? 1 : 0, "no other flow")
      }
    }
    const late = flowsOf({ waiting: { sync: 30 * 3_600 }, points: { late: exact(7) } }).points
    assert.deepStrictEqual(late.causes, ["late"])
  })

  it("is red when the adapter or servers answer nothing useful for longer than the bound, and amber while they are left alone", () => {
    const open = circuit("open", at + 12_000)
    const alone = flowsOf({ points: open, adapterSeconds: 600 }).points
    assert.deepStrictEqual(
      [alone.colour, alone.causes, alone.sentence],
      ["amber", ["adapter_left_alone"], "The adapter answers nothing and is left alone, asked again in 12 s."]
    )
    const useless = flowsOf({ points: open, adapterSeconds: 601 }).points
    assert.deepStrictEqual([useless.colour, useless.causes], ["red", ["adapter_useless", "adapter_left_alone"]])
    assert.match(useless.sentence, /^The adapter has answered nothing useful for 10 min; /)
    assert.strictEqual(flowsOf({ points: circuit("doubted", null) }).points.colour, "green")

    const told = (seconds: number) =>
      flowsOf({ waiting: { uselessServers: [{ origin: "http://s1.example", seconds }] } }).hilltop
    assert.strictEqual(told(600).colour, "green")
    assert.deepStrictEqual([told(601).colour, told(601).causes], ["red", ["servers_useless"]])
    assert.include(told(601).sentence, "http://s1.example (nothing useful for 10 min)")
  })

  it("names servers that are left alone, a few of them, and is red when that is all of them", () => {
    const left = (n: number) =>
      server(n, { state: "left_alone", reason: "5 failures in a row", asked_again_at: at + 40_000 })
    const some = flowsOf({ hilltop: { servers: [left(1), server(2)] } }).hilltop
    assert.deepStrictEqual([some.colour, some.causes], ["amber", ["servers_left_alone"]])
    assert.strictEqual(
      some.sentence,
      "1 of 2 servers is left alone: http://s1.example (5 failures in a row; asked again in 40 s)."
    )
    const all = [1, 2, 3, 4, 5].map(left)
    const none = flowsOf({ hilltop: { servers: all, servers_total: 5 } }).hilltop
    assert.strictEqual(none.colour, "red")
    assert.match(none.sentence, /^5 of 5 servers are left alone: .* and 2 more\.$/)
    const resting = server(1, { state: "resting", reason: "it asked us to wait", asked_again_at: at - 1 })
    const waits = flowsOf({ hilltop: { servers: [resting], servers_total: 1 } }).hilltop
    assert.strictEqual(waits.colour, "amber", "a server that asked us to wait is no fault")
    assert.include(waits.sentence, "(it asked us to wait; asked again now)")
  })

  it("is amber for what works around a trouble, names each cause once, and the red ones first", () => {
    const failures = [
      { kind: "invalid", points: exact(4), samples: [] },
      { kind: "deadline", points: exact(2), samples: [] }
    ]
    const failing = flowsOf({ points: { failures, late: exact(9) } }).points
    assert.deepStrictEqual([failing.colour, failing.causes], ["amber", ["late", "failing"]])
    assert.strictEqual(
      failing.sentence,
      "9 of 5,000 accounting points not synced within 24 h; 6 of 5,000 accounting points fail (4 invalid, 2 deadline)."
    )
    const hilltop = flowsOf({
      stuck: ["crawler", "source watch"],
      hilltop: {
        sources: [source(1, "no measurements"), source(2, "paused anyway", true)],
        set_aside: [
          { reason: "lost", tasks: exact(1) },
          { reason: "excluded", tasks: exact(50) }
        ]
      }
    }).hilltop
    assert.deepStrictEqual([hilltop.colour, hilltop.causes], ["red", ["loops", "source_problem", "set_aside_lost"]])
    assert.strictEqual(
      hilltop.sentence,
      "Stands still on this instance: crawler, source watch; 1 source has a problem: http://s1.example/a.hts (no measurements); 1 task set aside, since their workers were lost too often."
    )
    const streams = flowsOf({
      streams: { problem: "the brokers do not answer", dead_letters: [{ topic: "a", count: 3, not_redriven: 2 }] }
    }).streams
    assert.deepStrictEqual([streams.colour, streams.causes], ["red", ["unavailable", "dead_letters"]])
    assert.strictEqual(
      streams.sentence,
      "The brokers do not answer; 2 records of a could not be used and were set aside."
    )
    const alone = flowsOf({ points: { configured: false } }).points
    assert.deepStrictEqual([alone.colour, alone.causes], ["amber", ["adapter_not_configured"]])
  })

  it("gives every loop that stands still to one flow", () => {
    const loops = {
      points: ["events", "instances", "sync"],
      hilltop: ["crawl", "crawl-heartbeat", "crawl-takeover", "sources"],
      streams: [eventGroup, mapperGroup, storeGroup]
    }
    const flows = flowsOf({ stuck: Object.values(loops).flat() })
    for (const flow of ["points", "hilltop", "streams"] as const) {
      const { colour, sentence } = flows[flow]
      assert.deepStrictEqual([colour, sentence], ["red", `Stands still on this instance: ${loops[flow].join(", ")}.`])
    }
  })

  it("tells times in a unit that reads well", () => {
    assert.deepStrictEqual([-5, 0, 89, 90, 5_399, 5_400, 172_799, 172_800].map(timeWords), [
      "0 s",
      "0 s",
      "89 s",
      "2 min",
      "90 min",
      "2 h",
      "48 h",
      "2 days"
    ])
  })
})
