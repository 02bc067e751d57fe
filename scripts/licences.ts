#!/usr/bin/env node
/**
 * `npm run licences`: writes `docs/licences.md`, the licence of every package that an installation without development
 * packages brings, as their manifests say.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Path, Schema } from "effect"

const Lock = Schema.fromJsonString(
  Schema.Struct({
    packages: Schema.Record(
      Schema.String,
      Schema.Struct({
        version: Schema.optional(Schema.String),
        license: Schema.optional(Schema.String),
        dev: Schema.optional(Schema.Boolean)
      })
    )
  })
)

/** The page, from the lock file's text. */
export const licences = Effect.fnUntraced(function* (lock: string) {
  const { packages } = yield* Schema.decodeEffect(Lock)(lock)
  const rows = Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && dev !== true)
    .map(([path, { license, version }]) => ({
      name: path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length),
      version: version ?? "",
      licence: license ?? "not stated in the lock file: see its own files"
    }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  return [
    "# Licences",
    "",
    "Penstock is under the MIT licence (`LICENSE`). What it brings along, optional packages for other machines included, as",
    "`package-lock.json` says; made by `npm run licences`, and checked by a test.",
    "",
    "| package | version | licence |",
    "| --- | --- | --- |",
    ...rows.map(({ licence, name, version }) => `| ${name} | ${version} | ${licence} |`),
    ""
  ].join("\n")
})

const write = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const at = (file: string) => Effect.orDie(paths.fromFileUrl(new URL(`../${file}`, import.meta.url)))
  const page = yield* licences(yield* files.readFileString(yield* at("package-lock.json")))
  yield* files.writeFileString(yield* at("docs/licences.md"), page)
})

if (import.meta.main) NodeRuntime.runMain(write.pipe(Effect.provide(NodeServices.layer)))
