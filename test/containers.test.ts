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
