/** The files for containers, as far as they can be held against the code without an engine. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { parse } from "yaml"
import { Settings } from "../layers/Settings.ts"
import manifest from "../package.json" with { type: "json" }

const root = resolve(import.meta.dirname, "..")
const read = (file: string) => readFileSync(join(root, file), "utf8")

const Service = Schema.Struct({
  image: Schema.optional(Schema.String),
  user: Schema.optional(Schema.String),
  read_only: Schema.optional(Schema.Boolean),
  healthcheck: Schema.optional(Schema.Struct({ test: Schema.Array(Schema.String), interval: Schema.String })),
  deploy: Schema.optional(Schema.Struct({ replicas: Schema.Int })),
  ports: Schema.optional(Schema.Array(Schema.String)),
  environment: Schema.optional(Schema.Record(Schema.String, Schema.Unknown)),
  profiles: Schema.optional(Schema.Array(Schema.String)),
  depends_on: Schema.optional(Schema.Record(Schema.String, Schema.Unknown)),
  command: Schema.optional(Schema.Array(Schema.String)),
  volumes: Schema.optional(Schema.Array(Schema.String))
})
const Compose = Schema.Struct({
  services: Schema.Record(Schema.String, Service),
  volumes: Schema.Record(Schema.String, Schema.Unknown)
})

/** What the containers themselves fix: where they listen, and where an embedded database would lie. */
const fixed = new Set(["HTTP_HOST", "HTTP_PORT", "PENSTOCK_DATA"])

describe("docker-compose.yml", () => {
  const text = read("docker-compose.yml")
  const { services, volumes } = Schema.decodeUnknownSync(Compose)(parse(text, { merge: true }))

  it("passes every setting on to the instances, and none that there is not", () => {
    const passed = Object.keys(Settings).filter((name) => !fixed.has(name))
    for (const name of ["answers", "works"]) {
      assert.sameMembers(Object.keys(services[name]?.environment ?? {}), passed)
    }
  })

  it("gives each role to somebody", () => {
    const roles = ["answers", "works"].flatMap((name) =>
      String(services[name]?.environment?.["PENSTOCK_ROLES"]).split(",")
    )
    assert.sameMembers(roles, ["api", "sync", "crawl", "stream"])
  })

  it("names only volumes, services and programs that exist", () => {
    for (const [name, service] of Object.entries(services)) {
      for (const dependency of Object.keys(service.depends_on ?? {})) assert.property(services, dependency, name)
      for (const volume of service.volumes ?? []) {
        const [source = ""] = volume.split(":")
        if (source.startsWith("./")) assert.isTrue(existsSync(join(root, source)), `${name}: ${source}`)
        else assert.property(volumes, source, name)
      }
      for (const word of service.command ?? []) {
        if (!word.startsWith("dist/")) continue
        const source = word.replace(/^dist\//, "").replace(/\.js$/, ".ts")
        assert.isTrue(existsSync(join(root, source)), `${name}: ${source}`)
      }
    }
  })
})

describe("the containers", () => {
  const { services } = Schema.decodeUnknownSync(Compose)(parse(read("docker-compose.yml"), { merge: true }))
  const image = /^HEALTHCHECK .*\n\s*CMD/m.test(read("Dockerfile"))

  it("are looked at for their health, each", () => {
    assert.isTrue(image)
    for (const [name, { healthcheck }] of Object.entries(services)) {
      if (!["answers", "works"].includes(name)) assert.isDefined(healthcheck, name)
    }
  })

  it("of Penstock, its simulators and what shows its metrics are not root and write to no disk of their own", () => {
    for (const name of ["answers", "works", "adapter", "hilltop", "prometheus", "grafana"]) {
      const { read_only, user } = services[name] ?? {}
      assert.isTrue(read_only, name)
      assert.notInclude([undefined, "root", "0"], user, name)
    }
  })

  it("come in two of each role, three brokers, and profiles for all that is not always needed", () => {
    const ofProfile = (profile: string | undefined) =>
      Object.keys(services).filter((name) => services[name]?.profiles?.[0] === profile)
    assert.deepStrictEqual([services["answers"]?.deploy, services["works"]?.deploy], [{ replicas: 2 }, { replicas: 2 }])
    assert.sameMembers(ofProfile(undefined), ["postgres", "answers", "works"])
    assert.sameMembers(ofProfile("kafka"), ["kafka-1", "kafka-2", "kafka-3"])
    assert.sameMembers(ofProfile("simulators"), ["adapter", "hilltop"])
    assert.sameMembers(ofProfile("metrics"), ["prometheus", "grafana"])
  })
})

describe("what Grafana and Prometheus are given", () => {
  const { services } = Schema.decodeUnknownSync(Compose)(parse(read("docker-compose.yml"), { merge: true }))
  const decoded = <A>(schema: Schema.Codec<A, unknown>, file: string) =>
    Schema.decodeUnknownSync(schema, { onExcessProperty: "error" })(parse(read(file)))
  const mounted = (name: string) =>
    new Map(
      (services[name]?.volumes ?? []).map((volume) => volume.split(":").slice(0, 2).toReversed() as [string, string])
    )

  it("scrapes the instances by the names of their services, at the port they listen on, and knows the alert rules", () => {
    const scrape = decoded(
      Schema.Struct({
        global: Schema.Struct({ scrape_interval: Schema.String, evaluation_interval: Schema.String }),
        rule_files: Schema.Array(Schema.String),
        scrape_configs: Schema.Array(
          Schema.Struct({
            job_name: Schema.String,
            dns_sd_configs: Schema.Array(
              Schema.Struct({
                names: Schema.Array(Schema.String),
                type: Schema.Literal("A"),
                port: Schema.Int,
                refresh_interval: Schema.String
              })
            )
          })
        )
      }),
      "ops/prometheus.yaml"
    )
    const [targets] = scrape.scrape_configs[0]?.dns_sd_configs ?? []
    assert.deepStrictEqual(targets?.names, ["answers", "works"])
    assert.match(services["answers"]?.ports?.[0] ?? "", new RegExp(`:${targets?.port}$`))
    const files = mounted("prometheus")
    for (const file of scrape.rule_files) assert.strictEqual(files.get(file), "./ops/prometheus.rules.yaml")
    assert.strictEqual(files.get("/etc/prometheus/prometheus.yml"), "./ops/prometheus.yaml")
  })

  it("has the dashboard where Grafana looks for it, over the Prometheus that there is", () => {
    const files = mounted("grafana")
    assert.strictEqual(files.get("/etc/grafana/provisioning"), "./ops/grafana/provisioning")
    const { providers } = decoded(
      Schema.Struct({
        apiVersion: Schema.Literal(1),
        providers: Schema.Array(
          Schema.Struct({
            name: Schema.String,
            type: Schema.Literal("file"),
            folder: Schema.String,
            disableDeletion: Schema.Boolean,
            allowUiUpdates: Schema.Boolean,
            updateIntervalSeconds: Schema.Int,
            options: Schema.Struct({ path: Schema.String })
          })
        )
      }),
      "ops/grafana/provisioning/dashboards/penstock.yaml"
    )
    assert.strictEqual(files.get(`${providers[0]?.options.path}/penstock.json`), "./ops/grafana.json")
    const { datasources } = decoded(
      Schema.Struct({
        apiVersion: Schema.Literal(1),
        datasources: Schema.Array(
          Schema.Struct({
            name: Schema.String,
            uid: Schema.String,
            type: Schema.String,
            access: Schema.Literal("proxy"),
            url: Schema.String,
            isDefault: Schema.Boolean,
            editable: Schema.Boolean,
            jsonData: Schema.Struct({ timeInterval: Schema.String })
          })
        )
      }),
      "ops/grafana/provisioning/datasources/prometheus.yaml"
    )
    const [source] = datasources
    assert.property(services, new URL(source!.url).hostname)
    const dashboard = Schema.decodeUnknownSync(
      Schema.Struct({
        templating: Schema.Struct({ list: Schema.Array(Schema.Struct({ type: Schema.String, query: Schema.Unknown })) })
      })
    )(JSON.parse(read("ops/grafana.json")))
    const wanted = dashboard.templating.list.find(({ type }) => type === "datasource")?.query
    assert.deepStrictEqual([wanted, source?.isDefault], [source?.type, true])
  })
})

describe("Dockerfile", () => {
  const text = read("Dockerfile")

  it("copies only what is there, and all that is built", () => {
    const copied = [...text.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, sources = ""]) => sources.split(" "))
    for (const source of copied) assert.isTrue(existsSync(join(root, source)), source)
    const built = Schema.decodeUnknownSync(Schema.Struct({ include: Schema.Array(Schema.String) }))(
      JSON.parse(read("tsconfig.build.json"))
    )
    assert.includeMembers(copied, [...built.include])
  })

  it("starts what the package starts, without being root", () => {
    assert.include(text, `"${manifest.bin.penstock}", "start"`)
    assert.match(text, /^USER (?!root)/m)
  })
})
