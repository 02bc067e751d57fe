/**
 * What the refresh policy is told of a run, by real documents through the real crawl, and what becomes of its decision: the next
 * fetch, what is kept, whom it wakes.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { decide, type Decision, type Look, parseServer, type Wake } from "../../src/crawl/RefreshPolicy.ts"
import { RefreshRule } from "../../src/crawl/RefreshRule.ts"
import { qualifiedUrl } from "../../src/hilltop/qualifiedRequest.ts"
import { crawledWorld, htsUrl } from "./crawledWorld.ts"

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]
const nzst = (text: string) => Date.parse(`${text}+12:00`)
const now = nzst("2026-02-20T12:00:00")
const dataUrl = (measurement: string, rest: string) =>
  `${htsUrl}?Service=Hilltop&Request=GetData&Site=Awa&Measurement=${measurement}&${rest}`
const latest = dataUrl("Rainfall", "TimeInterval=P35D/now")
const monthOf = (measurement: string, month: string, last: number) =>
  dataUrl(measurement, `from=${month}-01T00:00&to=${month}-${last}T23:59:59`)
const january = monthOf("Rainfall", "2026-01", 31)
const list = `${htsUrl}?Service=Hilltop&Request=MeasurementList&Site=Awa`
const details = { siteName: "Awa", measurementName: "Rainfall", measurement: "Rainfall", item: 1 }

const data = (...rows: ReadonlyArray<readonly [at: string, value: number]>) =>
  `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Council</Agency>\n<Measurement SiteName="Awa">\n<DataSource Name="Rainfall" NumItems="1">\n` +
  `<TSType>StdSeries</TSType>\n<ItemInfo ItemNumber="1"><Units>mm</Units></ItemInfo>\n</DataSource>\n` +
  `<Data DateFormat="Calendar" NumItems="1">\n${rows.map(([at, value]) => `<E><T>${at}</T><I1>${value}</I1></E>\n`).join("")}` +
  `</Data>\n</Measurement>\n</Hilltop>\n`
const noData = `<?xml version="1.0" ?>\n<Hilltop>\n<Agency>Council</Agency>\n</Hilltop>\n`
const series = (name: string, from: string, to: string) =>
  `<DataSource Name="${name}" Site="Awa"><TSType>StdSeries</TSType><From>${from}</From><To>${to}</To>` +
  `<Measurement Name="${name}"><RequestAs>${name}</RequestAs></Measurement></DataSource>`
const listOf = (...dataSources: ReadonlyArray<string>) =>
  `<HilltopServer><Agency>Council</Agency>${dataSources.join("")}</HilltopServer>`

/** A rule that is told what to say, and says what it was told. */
class Ruled extends Context.Service<
  Ruled,
  {
    readonly looks: Array<Look>
    readonly kept: Array<string | undefined>
    next: Partial<Decision>
    leads: Map<number, number>
  }
>()("test/Ruled") {}

const ruled = <A, E, R>(body: Effect.Effect<A, E, R>) => {
  const one = Ruled.of({ looks: [], kept: [], next: {}, leads: new Map() })
  return body.pipe(
    Effect.provideService(RefreshRule, {
      decide: (kept, look, server, seed) => {
        one.looks.push(look)
        one.kept.push(kept)
        return {
          ...decide(undefined, look, server, seed),
          kept: "told",
          reason: "so",
          due: look.at + hour,
          wake: [],
          ...one.next
        }
      },
      fromHistory: (runs) => (runs.length === 0 ? undefined : `of ${runs.length} runs`),
      inherited: (siblings) => (siblings.length === 0 ? undefined : `beside ${siblings.length}`),
      leaders: (siblings) => new Map(siblings.map(({ id }) => [id, one.leads.get(id)]))
    }),
    Effect.provideService(Ruled, one)
  )
}
const test = <E>(name: string, body: Effect.Effect<void, E, Ruled | Scope.Scope>) =>
  it.effect(name, () => ruled(Effect.andThen(TestClock.setTime(now), body)))

const arranged = Effect.gen(function* () {
  const world = yield* crawledWorld
  const rule = yield* Ruled
  const last = () => rule.looks.at(-1)!
  return { ...world, rule, last }
})

test(
  "The latest data tell what came since, how old it is, and the usual step of the newest rows",
  Effect.gen(function* () {
    const { add, last, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    const rows: ReadonlyArray<readonly [string, number]> = [
      ["2026-02-20T08:00:00", 1],
      ["2026-02-20T10:00:00", 1],
      ["2026-02-20T10:15:00", 2],
      ["2026-02-20T10:30:00", 3]
    ]
    yield* run(latest, data(...rows))
    assert.deepStrictEqual(last(), {
      requestType: "MEASUREMENT_DATA_LATEST",
      at: now,
      follows: false,
      followers: 0,
      added: 4,
      revised: false,
      firstAdded: nzst("2026-02-20T08:00:00"),
      newest: nzst("2026-02-20T10:30:00"),
      step: 15 * minute
    })
    assert.deepInclude(task(latest), { nextFetchAt: now + hour, refresh: "told", reason: "so" })
    yield* TestClock.adjust("1 hour")
    yield* run(latest, data(...rows.slice(1), ["2026-02-20T10:45:00", 3], ["2026-02-20T11:00:00", 3]))
    assert.deepInclude(last(), {
      at: now + hour,
      added: 2,
      revised: false,
      firstAdded: nzst("2026-02-20T10:45:00"),
      newest: nzst("2026-02-20T11:00:00")
    })
    // The same bytes, and the same rows in other bytes.
    const same = data(...rows.slice(1), ["2026-02-20T10:45:00", 3], ["2026-02-20T11:00:00", 3])
    for (const answer of [same, same.replaceAll("\n", "\n\n")]) {
      yield* run(latest, answer)
      assert.deepInclude(last(), { added: 0, revised: false, newest: nzst("2026-02-20T11:00:00"), step: 15 * minute })
      assert.isUndefined(last().firstAdded)
    }
  })
)

test(
  "A corrected value is told as such, and rows of a mistyped year are none of the newest",
  Effect.gen(function* () {
    const { add, last, run } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    yield* run(latest, data(["2026-02-20T10:00:00", 1], ["2026-02-20T10:05:00", 2]))
    yield* run(latest, data(["2026-02-20T10:00:00", 9], ["2026-02-20T10:05:00", 2], ["2027-02-20T10:10:00", 2]))
    assert.deepInclude(last(), { revised: true, newest: nzst("2026-02-20T10:05:00"), step: 5 * minute })
  })
)

test(
  "A month tells which one it is; a month without a row has none that is newest",
  Effect.gen(function* () {
    const { add, last, run } = yield* arranged
    yield* add("MEASUREMENT_DATA", january, details)
    yield* run(january, noData)
    assert.deepStrictEqual(last(), {
      requestType: "MEASUREMENT_DATA",
      at: now,
      period: { from: nzst("2026-01-01T00:00:00"), to: nzst("2026-01-31T23:59:59") },
      added: 0,
      revised: false,
      firstAdded: undefined,
      newest: undefined,
      step: undefined
    })
  })
)

test(
  "A list tells the end of a series that only answers by its qualified name",
  Effect.gen(function* () {
    const { add, last, run, task } = yield* arranged
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const byName = qualifiedUrl(latest, details)!
    yield* add("MEASUREMENT_DATA_LATEST", byName, details)
    yield* run(byName, data(["2026-02-20T10:00:00", 1]))
    yield* run(list, listOf(series("Rainfall", "2026-01-01", "2026-02-20T11:00:00")))
    assert.deepStrictEqual(last().siblings, [{ id: task(byName).id, kept: "told", to: nzst("2026-02-20T11:00:00") }])
  })
)

test(
  "A list of measurements tells how many ends have moved, and what is kept of the latest data beside the end of each",
  Effect.gen(function* () {
    const { add, last, rule, run, sources, task } = yield* arranged
    sources.set(1, { ...sources.get(1)!, configuration: { measurementNames: ["Rainfall", "Flow"] } })
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    const rainfall = (to: string) => series("Rainfall", "2026-01-01", to)
    const flow = (to: string) => series("Flow", "2026-02-01", to)
    const latestFlow = dataUrl("Flow", "TimeInterval=P35D/now")
    yield* run(list, listOf(rainfall("2026-02-20T10:00:00")))
    assert.deepStrictEqual(last(), {
      requestType: "MEASUREMENTS_LIST",
      at: now,
      added: 1,
      revised: false,
      // Its series was never asked for, so nothing is known but where it ends.
      siblings: [{ id: undefined, kept: undefined, to: nzst("2026-02-20T10:00:00") }]
    })
    assert.isUndefined(task(latest).refresh)
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    // A new series begins with what is known beside it.
    yield* run(list, listOf(rainfall("2026-02-20T10:00:00"), flow("2026-02-20T09:00:00")))
    const sibling = { id: task(latest).id, kept: "told", to: nzst("2026-02-20T10:00:00") }
    const unknown = { id: undefined, kept: undefined, to: nzst("2026-02-20T09:00:00") }
    assert.deepInclude(last(), { added: 1, revised: false, siblings: [sibling, unknown] })
    assert.strictEqual(task(latestFlow).refresh, "beside 1")
    // One leads, and the other is told to wait for it.
    rule.leads.set(task(latestFlow).id, task(latest).id)
    yield* run(list, listOf(rainfall("2026-02-20T11:00:00"), flow("2026-02-20T09:00:00")))
    assert.deepInclude(last(), { added: 1, revised: false })
    assert.deepStrictEqual(
      last().siblings?.map(({ kept, to }) => [kept, to]),
      [
        ["told", nzst("2026-02-20T11:00:00")],
        ["beside 1", nzst("2026-02-20T09:00:00")]
      ]
    )
    assert.deepStrictEqual([task(latest).leader, task(latestFlow).leader], [undefined, task(latest).id])
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    assert.deepInclude(last(), { follows: false, followers: 1 })
    yield* run(latestFlow, data(["2026-02-20T10:00:00", 1]).replace('Name="Rainfall"', 'Name="Flow"'))
    assert.deepInclude(last(), { follows: true, followers: 0 })
    // A series that is gone, or whose beginning is another one, is a change of what was known.
    yield* run(list, listOf(series("Rainfall", "2026-01-15", "2026-02-20T11:00:00"), flow("2026-02-20T09:00:00")))
    assert.deepInclude(last(), { added: 0, revised: true })
  })
)

test(
  "A list of sites tells how much of it is new",
  Effect.gen(function* () {
    const { add, last, run } = yield* arranged
    const sites = `${htsUrl}?Service=Hilltop&Request=SiteList&Location=Yes`
    const listed = (...names: ReadonlyArray<string>) =>
      `<HilltopServer><Agency>Council</Agency>${names.map((name) => `<Site Name="${name}"/>`).join("")}</HilltopServer>`
    yield* add("SITES_LIST", sites)
    yield* run(sites, listed("Awa", "Wai"))
    assert.deepStrictEqual(last(), { requestType: "SITES_LIST", at: now, added: 2, revised: false })
    yield* run(sites, listed("Awa", "Wai"))
    assert.deepInclude(last(), { added: 0, revised: false })
    yield* run(sites, listed("Awa", "Wai", "Roto"))
    assert.deepInclude(last(), { added: 1, revised: false })
  })
)

test(
  "Failures and doubts say nothing to it, and leave what is known as it is",
  Effect.gen(function* () {
    const { add, rule, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    yield* run(latest, data(["2026-02-20T10:00:00", 1], ["2026-02-20T10:05:00", 2]))
    assert.strictEqual(task(latest).refresh, "told")
    rule.next = { kept: "other", reason: "other" }
    const looks = rule.looks.length
    yield* run(latest, undefined)
    assert.strictEqual(rule.looks.length, looks)
    for (const doubtful of [noData, "<html></html>", `<HilltopServer><Error>No data</Error></HilltopServer>`]) {
      yield* run(latest, doubtful)
      assert.deepInclude(task(latest), { refresh: "told", reason: "so" })
    }
    assert.strictEqual(task(latest).attempts, 4)
  })
)

test(
  "The policy is given what was kept at the last run, or else what the history of runs before it says",
  Effect.gen(function* () {
    const { add, rule, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    assert.isUndefined(rule.kept.at(-1))
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    assert.strictEqual(rule.kept.at(-1), "told")
    task(latest).refresh = undefined
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    assert.strictEqual(rule.kept.at(-1), "of 2 runs")
  })
)

const dueIn = (task: { nextFetchAt: number }, at: number) => task.nextFetchAt - at

test(
  "Months are woken by their addresses: a series' own by time, the site's other series' by the names on its list",
  Effect.gen(function* () {
    const { add, rule, run, sources, task } = yield* arranged
    sources.set(1, { ...sources.get(1)!, configuration: { measurementNames: ["Rainfall", "Flow", "Level"] } })
    yield* add("MEASUREMENTS_LIST", list, { siteName: "Awa" })
    yield* run(
      list,
      listOf(...["Rainfall", "Flow", "Level"].map((name) => series(name, "2025-12-01", "2026-02-20T10:00:00")))
    )
    rule.next = { due: now + 25 * day }
    const december = monthOf("Rainfall", "2025-12", 31)
    const others = ["Flow", "Level"].map((name) => monthOf(name, "2026-01", 31))
    for (const url of [january, december, ...others, monthOf("Flow", "2025-12", 31)]) {
      yield* run(url, noData)
      assert.strictEqual(dueIn(task(url), now), 25 * day)
    }
    const wake = (one: Wake) => Effect.sync(() => (rule.next = { due: now + 25 * day, wake: [one] }))
    yield* wake({ which: "sameMonth", at: now + minute })
    yield* run(january, noData)
    for (const url of others) assert.strictEqual(dueIn(task(url), now), minute)
    assert.strictEqual(dueIn(task(monthOf("Flow", "2025-12", 31)), now), 25 * day)
  })
)

test(
  "A correction of old values that the latest data show wakes the month that they are of, and one of new values none",
  Effect.gen(function* () {
    const { add, last, rule, run, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    yield* add("MEASUREMENT_DATA", january, details)
    rule.next = { due: now + 25 * day }
    yield* run(january, noData)
    const rows: ReadonlyArray<readonly [string, number]> = [
      ["2026-01-20T10:00:00", 1],
      ["2026-01-21T10:00:00", 2],
      ["2026-02-18T10:00:00", 3],
      ["2026-02-19T10:00:00", 4]
    ]
    /** What the policy itself says of the look. */
    const decided = () => decide(undefined, last(), parseServer(undefined), 1).wake
    yield* run(latest, data(...rows))
    yield* run(latest, data(...rows.with(3, ["2026-02-19T10:00:00", 5])))
    assert.deepInclude(last(), { revised: true, revisedAt: nzst("2026-02-19T10:00:00") })
    assert.deepStrictEqual(decided(), [])
    const corrected = data(...rows.with(1, ["2026-01-21T10:00:00", 7]), ["2026-02-20T10:00:00", 6])
    yield* run(latest, corrected)
    assert.deepInclude(last(), { revised: true, revisedAt: nzst("2026-01-21T10:00:00") })
    assert.deepStrictEqual(decided(), [{ which: "month", of: nzst("2026-01-21T10:00:00"), at: now }])
    rule.next = { due: now + 25 * day, wake: decided() }
    assert.strictEqual(dueIn(task(january), now), 25 * day)
    yield* run(latest, data(...rows))
    assert.strictEqual(dueIn(task(january), now), 0)
    // A value that has left the window is none that was removed.
    rule.next = { due: now + 25 * day }
    yield* TestClock.adjust("2 days")
    yield* run(latest, data(...rows.slice(1)))
    assert.isUndefined(last().revisedAt)
  })
)

test(
  "What a server has taught is given to the next run, whatever was written into its row",
  Effect.gen(function* () {
    const { add, run, servers, task } = yield* arranged
    yield* add("MEASUREMENT_DATA_LATEST", latest, details)
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    const [server] = servers.values()
    assert.isDefined(server?.knowledge)
    assert.deepStrictEqual(parseServer(server?.knowledge), parseServer(server?.knowledge))
    server!.knowledge = "garbage"
    yield* run(latest, data(["2026-02-20T10:00:00", 1]))
    assert.strictEqual(task(latest).history.at(-1)?.result, "UNCHANGED")
    assert.notStrictEqual(server!.knowledge, "garbage")
  })
)
