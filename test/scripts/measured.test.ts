/**
 * The service as a process, measured: what `/metrics` and OTLP say of it, and that the files for Grafana and Prometheus ask for
 * nothing else.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { SqlClient } from "effect/sql"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { parse } from "yaml"
import { samplesIn, typesIn } from "../support/exposition.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { namedIn } from "../support/promql.ts"
import { runPenstock } from "../support/runPenstock.ts"
import { standIn } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const root = resolve(import.meta.dirname, "../..")
const textOf = (path: string) => readFileSync(resolve(root, path), "utf8")

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly annotations: { readonly summary: string; readonly runbook: string }
}
const rules = (
  parse(textOf("ops/prometheus.rules.yaml")) as { groups: ReadonlyArray<{ rules: ReadonlyArray<Rule> }> }
).groups.flatMap((group) => group.rules)
interface Panel {
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}
const dashboard = JSON.parse(textOf("ops/grafana.json")) as { readonly panels: ReadonlyArray<Panel> }
/** As Grafana fills them in. */
const filledIn = (expression: string) => expression.replaceAll("$__rate_interval", "1m").replaceAll("$job", ".*")
const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...dashboard.panels.flatMap(({ targets = [], title }) => targets.map(({ expr }) => [title, filledIn(expr)] as const))
]
/** Labels that Prometheus itself adds to what it reads. */
const ofTheScrape = new Set(["job", "instance", "le"])

const keys = { lookup: "lookup-key-of-the-test", event: "event-key-of-the-test" }
const timelines = { end_user: [{ business_id: "987654321", valid_from: "2020-01-01T00:00:00+01:00" }] }

const answers = Effect.gen(function* () {
  const adapter = yield* standIn((request, response) => {
    const gsrn = /accounting_point\/(\d+)/.exec(request.url ?? "")?.[1] ?? ""
    if (gsrn === gsrnOf(2)) return response.writeHead(503).end()
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ gsrn, energy_supplier: [], metering_grid_area: [], ...timelines }))
  })
  const hilltop = yield* standIn((_, response) => response.writeHead(500).end("down"))
  const collected: Array<{ readonly path: string; readonly body: string }> = []
  const collector = yield* standIn((request, response, body) => {
    collected.push({ path: request.url ?? "", body })
    response.writeHead(200, { "content-type": "application/json" }).end("{}")
  })
  return { adapter, hilltop, collector, collected }
})

layer(Layer.mergeAll(TestDatabase.layer, NodeHttpClient.layerUndici, NodeServices.layer), {
  excludeTestServices: true,
  timeout: 120_000
})("a running service", (it) => {
  it.effect(
    "tells all that its dashboard and its alert rules ask for, in Prometheus's format, in OpenMetrics and over OTLP",
    () =>
      Effect.gen(function* () {
        const { url: database } = yield* TestDatabase
        const sql = yield* SqlClient.SqlClient
        const { adapter, collected, collector, hilltop } = yield* answers
        const { url } = yield* runPenstock({
          DATABASE_URL: Redacted.value(database),
          ADAPTER_URL: adapter.url,
          LOOKUP_API_KEYS: `caller:${keys.lookup}`,
          EVENT_API_KEYS: `adapter:${keys.event}`,
          CRAWL_ALLOW_PRIVATE: "true",
          OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
          OTEL_METRIC_EXPORT_INTERVAL: "1000"
        })
        const post = (path: string, key: string, body: unknown) =>
          HttpClientRequest.post(`${url}${path}`).pipe(
            HttpClientRequest.bearerToken(key),
            HttpClientRequest.bodyJsonUnsafe(body),
            HttpClient.execute,
            Effect.map(({ status }) => status)
          )
        const metrics = (accept: string) =>
          HttpClient.get(`${url}/metrics`, { headers: { accept } }).pipe(
            Effect.flatMap((response) =>
              Effect.map(response.text, (text) => ({ text, type: response.headers["content-type"] }))
            )
          )
        const lookup = (n: number) =>
          post("/controllable_unit/lookup", keys.lookup, { end_user: "987654321", accounting_point: gsrnOf(n) })
        assert.strictEqual(yield* lookup(1), 200)
        assert.strictEqual(yield* lookup(1), 200)
        assert.strictEqual(yield* lookup(2), 502)
        assert.strictEqual(yield* lookup(2), 502)
        const event = { gsrn: gsrnOf(1), occurred_at: new Date().toISOString() }
        assert.strictEqual(yield* post("/accounting_point/event", keys.event, event), 200)
        yield* sql`INSERT INTO hilltop_sources (council_id, hts_url, configuration)
          VALUES (1, ${`${hilltop.url}/a.hts`}, '{"measurementNames": ["Rainfall"]}')`

        const lacking = (text: string) => {
          const samples = samplesIn(text)
          const value = (name: string, labels: Readonly<Record<string, string>>) =>
            samples
              .filter((one) => one.name === name)
              .filter((one) => Object.entries(labels).every(([key, wanted]) => one.labels[key] === wanted))
              .reduce((sum, one) => sum + one.value, 0)
          const lookups = "penstock_lookup_duration_seconds_count"
          const expected: ReadonlyArray<
            readonly [string, Readonly<Record<string, string>>, (value: number) => boolean]
          > = [
            [lookups, { outcome: "match", source: "fetched" }, (n) => n === 1],
            [lookups, { outcome: "match", source: "copy" }, (n) => n === 1],
            [lookups, { outcome: "adapter_failed" }, (n) => n === 2],
            ["penstock_adapter_call_duration_seconds_count", { outcome: "unavailable" }, (n) => n >= 2],
            ["penstock_events_total", { source: "http", outcome: "recorded" }, (n) => n === 1],
            ["penstock_syncs_total", { lane: "event", outcome: "unchanged" }, (n) => n === 1],
            ["penstock_event_lag_seconds_count", {}, (n) => n === 1],
            ["penstock_crawl_runs_total", { result: "FETCH_ERROR" }, (n) => n >= 1],
            ["penstock_crawl_fetch_duration_seconds_count", { answer: "failed" }, (n) => n >= 1],
            ["penstock_crawl_server_useless_time_seconds", { server: hilltop.url }, (n) => n > 0],
            ["penstock_crawl_sources", { state: "usable" }, (n) => n === 1],
            ["penstock_database_up", {}, (n) => n === 1],
            ["v8js_gc_duration_seconds_count", {}, (n) => n > 0]
          ]
          return expected
            .filter(([name, labels, is]) => !is(value(name, labels)))
            .map(([name, labels]) => `${name} ${JSON.stringify(labels)} is ${value(name, labels)}`)
        }
        let text = ""
        yield* Effect.repeat(
          Effect.map(metrics("text/plain"), (read) => {
            text = read.text
            return lacking(text)
          }),
          { schedule: Schedule.spaced("500 millis"), until: (missing) => missing.length === 0 }
        ).pipe(
          Effect.timeoutOrElse({
            duration: "30 seconds",
            orElse: () => Effect.sync(() => assert.deepStrictEqual(lacking(text), []))
          })
        )
        const samples = samplesIn(text)
        const labelsOf = new Map<string, Set<string>>()
        for (const { labels, name } of samples) {
          const known = labelsOf.get(name) ?? new Set()
          for (const label of Object.keys(labels)) known.add(label)
          labelsOf.set(name, known)
        }
        const missing = expressions.flatMap(([where, expression]) =>
          namedIn(expression).flatMap(({ labels, metric }) => {
            const known = labelsOf.get(metric)
            if (known === undefined) return [`${where}: no metric ${metric}`]
            return labels
              .filter((label) => !known.has(label) && !ofTheScrape.has(label))
              .map((label) => `${where}: no label ${label} of ${metric}`)
          })
        )
        assert.deepStrictEqual(missing, [])
        assert.strictEqual(
          samples.length,
          new Set(samples.map((one) => `${one.name} ${JSON.stringify(one.labels)}`)).size
        )
        assert.isTrue([...typesIn(text)].every(([name, type]) => type !== "counter" || name.endsWith("_total")))

        const open = yield* metrics(
          "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
        )
        assert.strictEqual(open.type, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        assert.isTrue(open.text.endsWith("# EOF\n"))
        assert.include(open.text, "# TYPE penstock_syncs counter\n")
        assert.include(open.text, "# UNIT penstock_event_lag_seconds seconds\n")
        const openTypes = typesIn(open.text)
        assert.isFalse([...openTypes.keys()].some((name) => name.endsWith("_total")))

        // The same metrics leave over OTLP, under OpenTelemetry's names and with their units.
        const exported = () =>
          collected
            .filter(({ path }) => path === "/v1/metrics")
            .flatMap(({ body }): ReadonlyArray<Exported> => metricsIn(body))
        yield* Effect.repeat(Effect.sync(exported), {
          schedule: Schedule.spaced("500 millis"),
          until: (all) => all.some(({ name }) => name === "penstock.work.oldest.age")
        }).pipe(Effect.timeout("40 seconds"))
        const units = new Map(exported().map(({ name, unit }) => [name, unit]))
        assert.strictEqual(units.get("http.server.request.duration"), "s")
        assert.strictEqual(units.get("penstock.adapter.call.duration"), "s")
        assert.strictEqual(units.get("penstock.crawl.fetch.size"), "By")
        assert.strictEqual(units.get("penstock.syncs"), "{sync}")
        assert.notInclude(JSON.stringify(exported()), '"key":"unit"')
        const plain = (name: string) => name.replace(/_(?:seconds|bytes|ratio)$/, "")
        const told = new Set([...openTypes.keys()].map(plain))
        const over = new Set([...units.keys()].map((name) => plain(name.replaceAll(".", "_"))))
        assert.deepStrictEqual(
          [...told].filter((name) => !over.has(name)),
          []
        )
      }).pipe(Effect.scoped),
    120_000
  )

  it.effect(
    "that is asked nothing but lookups, of an adapter that fails, says so once, in health and in the metrics, and once that it is over",
    () =>
      Effect.gen(function* () {
        const { url: database } = yield* TestDatabase
        // What another test left behind is nobody's trouble here.
        yield* SqlClient.SqlClient.use((sql) => sql`UPDATE hilltop_sources SET paused = true`)
        let isDown = true
        const adapter = yield* standIn((request, response) => {
          if (isDown) return response.writeHead(503).end()
          const gsrn = /accounting_point\/(\d+)/.exec(request.url ?? "")?.[1] ?? ""
          response
            .writeHead(200, { "content-type": "application/json" })
            .end(JSON.stringify({ gsrn, energy_supplier: [], metering_grid_area: [], ...timelines }))
        })
        const run = Effect.gen(function* () {
          const penstock = yield* runPenstock({
            DATABASE_URL: Redacted.value(database),
            PENSTOCK_ROLES: "api",
            ADAPTER_URL: adapter.url,
            LOOKUP_API_KEYS: `caller:${keys.lookup}`,
            HEALTH_PATIENCE: "2 seconds"
          })
          const lookup = (n: number) =>
            HttpClientRequest.post(`${penstock.url}/controllable_unit/lookup`).pipe(
              HttpClientRequest.bearerToken(keys.lookup),
              HttpClientRequest.bodyJsonUnsafe({ end_user: "987654321", accounting_point: gsrnOf(n) }),
              HttpClient.execute,
              Effect.map(({ status }) => status)
            )
          const read = (path: string) =>
            Effect.flatMap(HttpClient.get(`${penstock.url}${path}`), (response) =>
              Effect.map(response.text, (text) => ({ text, status: response.status }))
            )
          assert.strictEqual((yield* read("/health/progress")).status, 200)
          const failing = yield* Effect.andThen(lookup(11), Effect.andThen(lookup(12), read("/health/progress"))).pipe(
            Effect.repeat({ schedule: Schedule.spaced("200 millis"), until: ({ status }) => status === 503 }),
            Effect.timeout("30 seconds")
          )
          assert.match(failing.text, /no progress in: adapter \(nothing useful for 0 min\)/)
          const useless = (text: string) =>
            samplesIn(text).find(({ name }) => name === "penstock_adapter_useless_time_seconds")?.value ?? 0
          assert.isAbove(useless((yield* read("/metrics")).text), 2)
          isDown = false
          assert.strictEqual(yield* lookup(11), 200)
          assert.strictEqual((yield* read("/health/progress")).status, 200)
          return penstock
        })
        const penstock = yield* Effect.scoped(run)
        const lines = penstock
          .output()
          .split("\n")
          .filter((line) => line.startsWith("{"))
          .map((line) => JSON.parse(line) as { readonly message: string; readonly level: string })
        const told = lines.map(({ level, message }) => `${level} ${message}`)
        assert.deepStrictEqual(
          told.filter((line) => line.includes("adapter:")).map((line) => line.replace(/\d+ s$/, "n s")),
          ["WARN adapter: answers nothing useful", "INFO adapter: gives useful answers again, after n s"]
        )
        assert.deepStrictEqual(
          told.filter((line) => line.includes("drain")),
          [
            "INFO http: draining begun: this instance takes no new requests and ends those in flight",
            "INFO http: drained: no request is in flight any more"
          ]
        )
      }).pipe(Effect.scoped),
    120_000
  )

  it.effect("has a section for each alert, and no other, that says what it means, what to look at and what to do", () =>
    Effect.sync(() => {
      const text = textOf("docs/alerts.md")
      const sections = text.split(/^## /m).slice(1)
      assert.deepStrictEqual(
        sections.map((section) => section.slice(0, section.indexOf("\n"))),
        rules.map(({ alert }) => alert)
      )
      for (const section of sections) {
        for (const part of ["**What it means.**", "**What to look at.**", "**What to do.**"])
          assert.include(section, part)
      }
      for (const { alert, annotations } of rules) {
        assert.strictEqual(annotations.runbook, `docs/alerts.md#${alert.toLowerCase()}`)
      }
      for (const [, anchor = ""] of text.matchAll(/\]\(#([a-z]+)\)/g)) {
        assert.isTrue(
          rules.some(({ alert }) => alert.toLowerCase() === anchor),
          anchor
        )
      }
    })
  )
})

interface Exported {
  readonly name: string
  readonly unit: string
}
const metricsIn = (body: string): ReadonlyArray<Exported> => {
  const data = JSON.parse(body) as {
    readonly resourceMetrics: ReadonlyArray<{
      readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<Exported> }>
    }>
  }
  return data.resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
}
