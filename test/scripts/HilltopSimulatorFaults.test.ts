/**
 * How the simulated Hilltop servers go wrong when they are told to, and what they count meanwhile.
 * Every fault has its line here, because a fault that does nothing would make the tests that use it pass.
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Duration, Effect, Stream } from "effect"
import { HttpClient } from "effect/http"
import { gunzipSync } from "node:zlib"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import type { FaultSetting } from "../../scripts/simulators/hilltop/HilltopFaults.ts"
import {
  ask,
  data,
  encode,
  fetch,
  month,
  putJson,
  rowsOf,
  simulated,
  siteWith,
  still,
  wellFormed,
  withFaults
} from "./askHilltop.ts"

layer(simulated({ ...still, sites: 8, historyDays: 60 }), { excludeTestServices: true })(
  "Hilltop simulator, things going wrong",
  (it) => {
    const stage = Effect.flatMap(siteWith(901, "river"), (site) => data(901, site.name, "Stage", month))
    const stageUrl = Effect.gen(function* () {
      const { sources } = yield* HilltopSimulator
      const site = yield* siteWith(901, "river")
      return `${sources[0]?.htsUrl}?${encode({ Request: "GetData", Site: site.name, Measurement: "Stage", ...month })}`
    })
    const stageResponse = Effect.flatMap(stageUrl, (url) => fetch(url))

    it.effect("answers with the status it is told to, and says when to come back", () =>
      withFaults(
        [
          { fault: "status", status: 522, request: "SiteList" },
          { fault: "status", status: 503, retry_after: "7" }
        ],
        Effect.gen(function* () {
          const { sources } = yield* HilltopSimulator
          const list = yield* fetch(`${sources[0]?.htsUrl}?${encode({ Request: "SiteList" })}`)
          assert.strictEqual(list.status, 522)
          const other = yield* stageResponse
          assert.strictEqual(other.status, 503)
          assert.strictEqual(other.headers["retry-after"], "7")
        })
      )
    )

    it.effect("refuses who does not say who they are, and redirects", () =>
      Effect.gen(function* () {
        const url = yield* stageUrl
        yield* withFaults(
          [{ fault: "forbidden-without-user-agent" }],
          Effect.gen(function* () {
            assert.strictEqual((yield* fetch(url)).status, 403)
            assert.strictEqual((yield* fetch(url, { "user-agent": "penstock/test" })).status, 200)
          })
        )
        const moved = yield* withFaults([{ fault: "redirect", to: "/elsewhere.hts", status: 301 }], fetch(url))
        assert.strictEqual(moved.status, 301)
        assert.strictEqual(moved.headers["location"], "/elsewhere.hts")
      })
    )

    it.effect("resets the connection at once or in the middle of the body", () =>
      Effect.gen(function* () {
        for (const after_bytes of [0, 5_000]) {
          const error = yield* Effect.flip(withFaults([{ fault: "reset", after_bytes }], stageResponse))
          assert.strictEqual(error._tag, "HttpClientError")
        }
        const { statistics } = yield* HilltopSimulator
        const { servers } = yield* statistics
        assert.isAtLeast(servers[0]?.by_outcome["aborted"] ?? 0, 2)
      })
    )

    it.effect("cuts a document short while HTTP says that it is whole", () =>
      Effect.gen(function* () {
        const whole = yield* stage
        const half = yield* withFaults([{ fault: "truncate" }], stage)
        const some = yield* withFaults([{ fault: "truncate", after_bytes: 1_000 }], stage)
        assert.isTrue(whole.startsWith(half) && half.length < whole.length && !wellFormed(half))
        assert.strictEqual(some, whole.slice(0, 1_000 - (Buffer.byteLength(whole.slice(0, 1_000)) - 1_000)))
      })
    )

    it.effect("hangs, and trickles so that no single read ever times out", () =>
      Effect.gen(function* () {
        const { statistics } = yield* HilltopSimulator
        const hanging = yield* withFaults([{ fault: "hang" }], Effect.timeoutOption(stageResponse, "300 millis"))
        assert.strictEqual(hanging._tag, "None")
        const [taken, trickled] = yield* withFaults(
          [
            { fault: "trickle", bytes_per_second: 2_000, piece_bytes: 100 },
            { fault: "truncate", after_bytes: 1_000 }
          ],
          Effect.timed(stageResponse)
        )
        assert.strictEqual(trickled.body.length, 1_000)
        assert.isAtLeast(Duration.toMillis(taken), 480)
        const { servers } = yield* statistics
        assert.isAtLeast(servers[0]?.by_fault["hang"] ?? 0, 1)
      })
    )

    it.effect("delays an answer by as long as it is told to", () =>
      withFaults(
        [{ fault: "delay", milliseconds: 250 }],
        Effect.gen(function* () {
          const [taken, { status }] = yield* Effect.timed(stageResponse)
          assert.strictEqual(status, 200)
          assert.isAtLeast(Duration.toMillis(taken), 245)
        })
      )
    )

    it.effect("sends web pages, nothing, and errors in place of a document", () =>
      Effect.gen(function* () {
        const page = yield* withFaults([{ fault: "html" }], stageResponse)
        assert.strictEqual(page.status, 200)
        assert.strictEqual(page.headers["content-type"], "text/html")
        const tidy = yield* withFaults([{ fault: "html", well_formed: true }], stage)
        assert.isTrue(wellFormed(tidy) && tidy.startsWith("<html>"))
        assert.strictEqual(yield* withFaults([{ fault: "empty-body" }], stage), "")
        const errors = yield* Effect.forEach(
          [{ fault: "data-limit" }, { fault: "ambiguous" }, { fault: "error", text: "No data for <you>" }] as const,
          (rule) => withFaults([rule], stage)
        )
        assert.deepStrictEqual(errors, [
          "<HilltopServer><Error>The server is set to only send data 12 years back from today</Error></HilltopServer>",
          "<HilltopServer><Error>There is more than one data source with the Stage measurement and no default is assigned</Error></HilltopServer>",
          "<HilltopServer><Error>No data for &lt;you&gt;</Error></HilltopServer>"
        ])
        const nothing = yield* withFaults([{ fault: "no-data" }], stage)
        assert.isTrue(wellFormed(nothing) && !nothing.includes("<Measurement"))
      })
    )

    it.effect("bends documents, each fault in its own way, and they stay well-formed", () =>
      Effect.gen(function* () {
        const whole = yield* stage
        const rows = rowsOf(whole)
        const bent = (rule: FaultSetting) => withFaults([rule], stage)
        assert.notInclude(yield* bent({ fault: "missing-units" }), "<Units>")
        assert.notInclude(yield* bent({ fault: "missing-format" }), "<Format>")
        const gaps = yield* bent({ fault: "gaps", share: 0.2 })
        assert.isBelow(rowsOf(gaps).length, rows.length)
        assert.isAbove(gaps.split("<Gap/>").length, 50)
        const twice = rowsOf(yield* bent({ fault: "duplicates", share: 0.5 }))
        assert.isAbove(twice.length, rows.length * 1.4)
        assert.strictEqual(new Set(twice.map(([at]) => at)).size, rows.length)
        const sentinels = rowsOf(yield* bent({ fault: "sentinels", values: ["-6999", "not-a-number"] }))
        assert.includeMembers(
          sentinels.map(([, value]) => value),
          ["-6999", "not-a-number"]
        )
        const mowsecs = yield* bent({ fault: "mowsecs" })
        assert.include(mowsecs, 'DateFormat="mowsecs"')
        assert.strictEqual(rowsOf(mowsecs)[0]?.[0], String(Date.parse(`${rows[0]?.[0]}Z`) / 1_000 + 946_771_200))
        assert.include(yield* bent({ fault: "midnight-24" }), "<T>2026-09-05T24:00:00</T>")
        assert.include(yield* bent({ fault: "time-with-space" }), "<T>2026-09-06 00:00:00</T>")
        assert.include(yield* bent({ fault: "time-with-fraction" }), "<T>2026-09-06T00:00:00.000</T>")
        const ahead = rowsOf(yield* bent({ fault: "clock-ahead", minutes: 60 }))
        assert.strictEqual(ahead[0]?.[0], rows[12]?.[0])
        assert.match(
          yield* bent({ fault: "item-order" }),
          /ItemNumber="1"[^]*ItemNumber="3"[^]*ItemNumber="2"[^]*<I1>\d+<\/I1><I2>12\.9<\/I2><I3\/><\/E>/
        )
        const several = yield* bent({ fault: "multi-measurement", first: false })
        assert.match(several, /SiteName="[^"]* \(Backup Logger\)"[^]*<Measurement SiteName="/)
        for (const xml of [gaps, mowsecs, several]) assert.isTrue(wellFormed(xml))

        const river = yield* siteWith(901, "river")
        const list = (rule: FaultSetting) =>
          withFaults([rule], ask(901, { Request: "MeasurementList", Site: river.name }))
        const [, from = "", to = ""] =
          /<From>(.*)<\/From>\n<To>(.*)<\/To>/.exec(yield* list({ fault: "to-before-from" })) ?? []
        assert.isTrue(to !== "" && to < from)
        assert.notInclude(yield* list({ fault: "missing-to" }), "<To>")
        assert.notInclude(yield* list({ fault: "no-data-source" }), "<DataSource")
        const sources = (xml: string) => xml.split("<DataSource ").length - 1
        const all = sources(yield* ask(901, { Request: "MeasurementList", Site: river.name }))
        const few = sources(yield* list({ fault: "shortened-list", share: 0.9 }))
        assert.isTrue(few >= 1 && few < all / 2, `${few} of ${all}`)
        const sites = yield* withFaults([{ fault: "shortened-list" }], ask(901, { Request: "SiteList" }))
        assert.strictEqual(sites.split("<Site ").length - 1, 2)
        assert.match(yield* bent({ fault: "exception-report" }), /^<\?xml[^]*<ows:ExceptionText>No applicable code</)
        const far = rowsOf(yield* bent({ fault: "far-row" }))
        assert.deepStrictEqual(far.slice(0, -1), rows)
        assert.deepStrictEqual(far.at(-1), [rows.at(-1)![0]!.replace(/^\d{4}/, "2036"), rows.at(-1)![1]])
      })
    )

    it.effect("writes a byte order mark, or bytes of an old code page without saying so", () =>
      Effect.gen(function* () {
        const list = Effect.gen(function* () {
          const { sources } = yield* HilltopSimulator
          return yield* fetch(`${sources[0]?.htsUrl}?${encode({ Request: "SiteList" })}`)
        })
        const plain = yield* list
        const marked = yield* withFaults([{ fault: "bom" }], list)
        assert.deepStrictEqual(marked.body, Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), plain.body]))
        const legacy = yield* withFaults([{ fault: "windows-1252" }, { fault: "charset", charset: "utf-8" }], list)
        assert.strictEqual(legacy.headers["content-type"], "text/xml; charset=utf-8")
        assert.isTrue(legacy.body.includes(0x96))
        const text = new TextDecoder("windows-1252").decode(legacy.body)
        const restored = text.replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
        assert.strictEqual(restored, plain.body.toString("utf8"))
        const zipped = yield* withFaults([{ fault: "gzip-unasked" }], list)
        assert.deepStrictEqual(gunzipSync(zipped.body), plain.body)
      })
    )

    it.effect("streams twenty megabytes without a length, and stops when the reader leaves", () =>
      withFaults(
        [{ fault: "large-body", bytes: 20_000_000 }],
        Effect.gen(function* () {
          const large = yield* stageResponse
          assert.isUndefined(large.headers["content-length"])
          assert.isAbove(large.body.length, 20_000_000)
          assert.isTrue(large.body.subarray(-11).equals(Buffer.from("</Hilltop>\n")))

          const client = yield* HttpClient.HttpClient
          const response = yield* client.get(yield* stageUrl)
          const first = yield* Stream.runHead(response.stream)
          assert.strictEqual(first._tag, "Some")
          const { statistics } = yield* HilltopSimulator
          yield* Effect.repeat(statistics, { until: ({ servers }) => servers[0]?.in_flight === 0 })
        })
      )
    )

    it.effect("strikes a seeded share of requests, the same ones again when set again, and only where it should", () =>
      Effect.gen(function* () {
        const { faults, sites } = yield* HilltopSimulator
        const site = yield* siteWith(901, "river")
        const others = sites(901).filter((one) => one.name !== site.name)
        const outcomes = Effect.forEach(Array.from({ length: 100 }), () =>
          Effect.map(ask(901, { Request: "MeasurementList", Site: site.name }), (xml) => xml === "")
        )
        const rule: FaultSetting = { fault: "empty-body", probability: 0.2, site: `^${site.name}$` }
        yield* faults.set([rule])
        const first = yield* outcomes
        yield* faults.set([rule])
        assert.deepStrictEqual(yield* outcomes, first)
        const struck = first.filter((one) => one).length
        assert.isTrue(struck >= 8 && struck <= 35, `${struck} of 100`)
        const elsewhere = yield* Effect.forEach(others, (one) =>
          ask(901, { Request: "MeasurementList", Site: one.name })
        )
        assert.isFalse(elsewhere.includes(""))
        yield* faults.set([{ fault: "empty-body", times: 2 }])
        const three = yield* Effect.forEach([1, 2, 3], () => ask(901, { Request: "Status" }))
        assert.deepStrictEqual(
          three.map((xml) => xml === ""),
          [true, true, false]
        )
        yield* faults.set([])
      })
    )

    it.effect("takes faults over HTTP, refuses what it does not know, and forgets them on reset", () =>
      Effect.gen(function* () {
        const { faults, origins, statistics } = yield* HilltopSimulator
        const set = yield* putJson("/simulator/faults", { rules: [{ fault: "status", status: 429 }] })
        assert.deepStrictEqual(set.json, { rules: [{ fault: "status", status: 429, probability: 1 }] })
        assert.strictEqual((yield* stageResponse).status, 429)
        for (const rules of [
          [{ fault: "gremlins" }],
          [{ fault: "hang", probability: 2 }],
          [{ fault: "hang", site: "(" }]
        ]) {
          const refused = yield* putJson("/simulator/faults", { rules })
          assert.strictEqual(refused.status, 400)
        }
        assert.strictEqual((yield* faults.get).length, 1)
        const client = yield* HttpClient.HttpClient
        assert.strictEqual((yield* client.post(`${origins[0]}/simulator/reset`)).status, 204)
        assert.deepStrictEqual(yield* faults.get, [])
        assert.strictEqual((yield* statistics).requests, 0)
      })
    )

    it.effect("counts requests by kind, path and outcome, the most in flight and the most in a second", () =>
      Effect.gen(function* () {
        const { origins, requestsBetween, reset, sources, statistics } = yield* HilltopSimulator
        yield* reset
        const before = yield* Clock.currentTimeMillis
        yield* withFaults(
          [{ fault: "delay", milliseconds: 200, path: "^/kereru" }],
          Effect.all([stage, stage, stage, ask(902, { Request: "Nonsense" })], { concurrency: "unbounded" })
        )
        const { requests, servers } = yield* Effect.repeat(statistics, {
          until: ({ servers }) => servers.every((server) => server.in_flight === 0)
        })
        assert.strictEqual(requests, 4)
        const [kereru, tussock] = origins.map((origin) => servers.find((server) => server.origin === origin))
        assert.deepInclude(kereru, {
          requests: 3,
          in_flight: 0,
          max_in_flight: 3,
          max_per_second: 3,
          by_request: { GetData: 3 },
          by_path: { "/kereru/data.hts": 3 },
          by_outcome: { "200": 3 },
          by_fault: { delay: 3 }
        })
        assert.deepInclude(tussock, { requests: 1, by_request: { other: 1 } })
        const log = yield* requestsBetween(before, Infinity, origins[0])
        assert.strictEqual(log.length, 3)
        assert.isTrue(log.every((one) => one.measurement === "Stage" && one.outcome === 200))
        const list = yield* fetch(`${origins[2]}/simulator/sources`)
        assert.include(list.body.toString(), sources[0]?.htsUrl ?? "?")
      })
    )
  }
)
