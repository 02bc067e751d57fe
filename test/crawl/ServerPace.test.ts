/** Properties of the rule that slows servers down and lets them recover. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { ServerAnswer } from "../../src/domain/FetchTask.ts"
import {
  afterSignal,
  concurrencyOf,
  newServer,
  paceRule,
  type ServerHealth,
  signalOf
} from "../../src/crawl/ServerPace.ts"
import { serverSignals } from "./serverSignals.ts"

const heard = (server: ServerHealth, now: number, ...answers: ReadonlyArray<ServerAnswer>) =>
  afterSignal(
    server,
    signalOf(
      answers.map((answer) => ({ answer, task: { id: 1, fence: 1, server: { origin: "", epoch: server.epoch } } }))
    ),
    now
  )
const failed = { kind: "failed" } as const
const answered = { kind: "answered", millis: 100 } as const
const repeated = <A>(n: number, value: A) => Array.from({ length: n }, () => value)

describe("the pace of a server", () => {
  it("stays between its least and the whole, whatever is heard", () => {
    fc.assert(
      fc.property(fc.array(serverSignals), (signals) => {
        let server = newServer(0)
        for (const [at, signal] of signals.entries()) {
          const before = server
          server = afterSignal(server, signal, at * 500)
          assert.isTrue(server.pace >= paceRule.least && server.pace <= 1)
          assert.isAtLeast(concurrencyOf(server, 4), 1)
          assert.isAtMost(concurrencyOf(server, 4), 4)
          assert.isAtLeast(server.epoch, before.epoch)
          assert.isTrue(server.pace >= before.pace || server.epoch > before.epoch)
          if (signal.answered > 0 && signal.failed === 0) assert.strictEqual(server.failures, 0)
        }
      })
    )
  })

  it("is halved once by requests that were claimed together, however many fail", () => {
    const server = newServer(0)
    const first = heard(server, 0, failed)
    assert.strictEqual(first.pace, 0.5)
    const late = signalOf(
      repeated(3, { answer: failed, task: { id: 1, fence: 1, server: { origin: "", epoch: server.epoch } } })
    )
    assert.strictEqual(afterSignal(first, late, 1).pace, 0.5)
    assert.strictEqual(heard(first, 2, { kind: "busy", coolDown: 5 }).pace, 0.25)
  })

  it("recovers by small steps, in no less than a minute, and only by answers", () => {
    const slowed: ServerHealth = { ...newServer(0), pace: paceRule.least }
    assert.strictEqual(afterSignal(slowed, signalOf([]), 3_600_000).pace, paceRule.least)
    assert.closeTo(heard(slowed, 3_600_000, answered).pace, paceRule.least + paceRule.step, 1e-9)
    let server = slowed
    for (let second = 1; second <= 30; second++) server = heard(server, second * 1000, ...repeated(50, answered))
    assert.closeTo(server.pace, paceRule.least + 0.5, 1e-9)
  })

  it("is lowered when answers take much longer than usual, and not when they always did", () => {
    let server = newServer(0)
    for (let i = 0; i < 200; i++) server = heard(server, i, { kind: "answered", millis: 900 + (i % 3) * 100 })
    assert.strictEqual(server.pace, 1)
    for (let i = 0; i < 20; i++) server = heard(server, 200 + i, { kind: "answered", millis: 5000 })
    assert.isBelow(server.pace, 0.5)
    for (let i = 0; i < 4000; i++) server = heard(server, 1000 * i, { kind: "answered", millis: 5000 })
    assert.strictEqual(server.pace, 1)
  })

  it("leaves a server alone after five failures in a row, for longer every time its probe fails", () => {
    let server = heard(newServer(0), 0, ...repeated(4, failed))
    assert.isUndefined(server.openUntil)
    server = heard(server, 1000, failed)
    assert.strictEqual(server.openUntil, 16_000)
    assert.strictEqual(concurrencyOf(server, 100), 1)
    const straggler = signalOf([{ answer: failed, task: { id: 1, fence: 1, server: { origin: "", epoch: 0 } } }])
    assert.strictEqual(afterSignal(server, straggler, 2000).openUntil, 16_000)
    server = heard(server, 16_000, failed)
    assert.strictEqual(server.openUntil, 46_000)
    for (let i = 0; i < 20; i++) server = heard(server, 0, failed)
    assert.strictEqual(server.openUntil, paceRule.longestPauseSeconds * 1000)
    server = heard(server, 50_000, answered)
    assert.isUndefined(server.openUntil)
    assert.strictEqual(server.failures, 0)
    assert.strictEqual(server.pauses, 0)
  })

  it("counts failures after the last answer only, and a server that is busy as neither", () => {
    const signal = signalOf(
      [failed, failed, answered, failed, { kind: "busy" } as const].map((answer) => ({
        answer,
        task: { id: 1, fence: 1, server: { origin: "", epoch: 3 } }
      }))
    )
    assert.deepInclude(signal, {
      answered: 1,
      failed: 1,
      timed: 1,
      millis: 100,
      goodEpoch: 3,
      badEpoch: 3,
      coolDown: 0
    })
  })

  it("keeps the longest pause that the server asked for", () => {
    const server = heard(newServer(0), 0, { kind: "busy", coolDown: 60 })
    assert.strictEqual(heard(server, 0, { kind: "failed", coolDown: 5 }).coolDownUntil, 60_000)
  })
})

describe("a server that answers nothing useful", () => {
  const task = {
    id: 1,
    fence: 1,
    server: { origin: "", epoch: 0 },
    requestType: "MEASUREMENT_DATA",
    attempts: 0,
    previousHash: "hash"
  } as const
  const run = (result: "SUCCESS" | "UNCHANGED" | "PARSE_ERROR" | "HILLTOP_ERROR") => ({ at: "", result })
  const after = (server: ServerHealth, now: number, ...settlements: Parameters<typeof signalOf>[0]) =>
    afterSignal(server, signalOf(settlements), now)

  it("is one since its first useless answer, until something can be used", () => {
    let server = newServer(0)
    for (let n = 1; n <= 20; n++) server = after(server, n * 1_000, { answer: failed, task })
    assert.strictEqual(server.uselessSince, 1_000)
    server = after(server, 30_000, { answer: answered, task, run: run("PARSE_ERROR") })
    assert.strictEqual(server.uselessSince, 1_000)
    server = after(server, 40_000, { answer: answered, task, run: run("UNCHANGED") })
    assert.isUndefined(server.uselessSince)
  })

  it("is one that answers with nonsense: to what it answered before, or to every list of sites", () => {
    const nonsense = { answer: answered, run: run("PARSE_ERROR") }
    assert.strictEqual(after(newServer(0), 5, { ...nonsense, task }).uselessSince, 5)
    const list = { ...task, requestType: "SITES_LIST", previousHash: undefined } as const
    assert.strictEqual(after(newServer(0), 5, { ...nonsense, task: list }).uselessSince, 5)
  })

  it("is not one of which a series fails again, or has no data yet", () => {
    const error = { answer: answered, run: run("HILLTOP_ERROR") }
    assert.isUndefined(after(newServer(0), 5, { ...error, task: { ...task, attempts: 3 } }).uselessSince)
    assert.isUndefined(after(newServer(0), 5, { ...error, task: { ...task, previousHash: undefined } }).uselessSince)
    const both = [
      { ...error, task },
      { answer: answered, task, run: run("SUCCESS") },
      { answer: failed, task }
    ]
    assert.isUndefined(after(newServer(0), 5, ...both).uselessSince)
  })
})
