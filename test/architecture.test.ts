/**
 * The direction of imports, as the README's map draws it. A broken rule is told in one sentence.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { libraries } from "../layers/page/libraries.ts"

const root = resolve(import.meta.dirname, "..")

/** What each room of `src` may import besides itself. */
const contracts: Readonly<Record<string, ReadonlyArray<string>>> = {
  "src/domain": [],
  "src/running": ["src/domain"],
  "src/sync": ["src/domain", "src/running"],
  "src/lookup": ["src/domain", "src/running", "src/sync"],
  "src/hilltop": ["src/domain", "src/running"],
  "src/stream": ["src/domain", "src/running", "src/hilltop"],
  "src/crawl": ["src/domain", "src/running", "src/hilltop", "src/stream"],
  "src/api": ["src/domain", "src/running", "src/sync", "src/lookup", "src/hilltop", "src/stream", "src/crawl"]
}

/** What every layer may import: nouns, machinery, and the settings it reads. */
const forAll = ["src/domain", "src/running", "settings"]

/**
 * The layer of a contract lies in the room named as the contract's; technology that serves all has a room of its own. Besides what
 * serves all, a room imports its contracts and the technology beneath it.
 */
const technology: Readonly<Record<string, ReadonlyArray<string>>> = {
  settings: [],
  "layers/embedded": [...forAll],
  "layers/postgres": [...forAll, "layers/embedded", "migrations"],
  "layers/processes": [...forAll, "layers/embedded", "layers/postgres"],
  "layers/http": [...forAll],
  "layers/otlp": [...forAll],
  "layers/telemetry": [...forAll],
  "layers/sync": [...forAll, "src/sync", "layers/postgres", "layers/http"],
  "layers/lookup": [...forAll, "src/lookup", "src/sync", "layers/postgres", "layers/sync"],
  "layers/hilltop": [...forAll, "src/hilltop", "layers/http"],
  "layers/crawl": [...forAll, "src/hilltop", "src/crawl", "layers/postgres"],
  // The contracts of these three are of the room `stream`; that of the archive is of the API, whose shapes it has.
  "layers/observations": [...forAll, "src/hilltop", "src/stream", "src/api", "layers/postgres", "migrations"],
  "layers/kafka": [...forAll, "src/stream"],
  "layers/topics": [...forAll, "src/stream", "layers/postgres", "layers/kafka"],
  "layers/page": ["src/api"],
  "layers/api": [...forAll, "src/stream", "src/api", "layers/postgres", "layers/crawl", "migrations"]
}

const rooms: Readonly<Record<string, ReadonlyArray<string>>> = {
  ...contracts,
  ...technology,
  migrations: [],
  // What a package offers by room: names of contracts, and nothing else.
  exports: Object.keys(contracts),
  layers: [...Object.keys(contracts), ...Object.keys(technology), "migrations"],
  scripts: [...Object.keys(contracts), ...Object.keys(technology), "migrations", "layers", "web"],
  // What runs in browsers knows nothing of the service but its API, whose types it may take; see below.
  web: []
}

/** Whether an import brings types only, of which nothing is left when the code runs. */
const isOfTypes = (file: string, specifier: string) =>
  readFileSync(join(root, file), "utf8")
    .split("\n")
    .some((line) => line.startsWith("import type ") && line.endsWith(` from "${specifier}"`))

/** What lies beside the rooms of `layers`, and serves them all. */
const settings = ["layers/Settings.ts", "layers/version.ts"]

const files = globSync("{exports,src,layers,migrations,scripts,web}/**/*.ts", { cwd: root }).sort()
const roomOf = (file: string) =>
  settings.includes(file)
    ? "settings"
    : (Object.keys(rooms)
        .filter((room) => file.startsWith(`${room}/`))
        .sort((a, b) => b.length - a.length)[0] ?? `no room (${dirname(file)})`)
const importsOf = (file: string) =>
  [
    ...readFileSync(join(root, file), "utf8").matchAll(
      /^(?:import|export)\s[^"']*?from\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm
    )
  ].map((match) => match[1] ?? match[2] ?? match[3] ?? "")

describe("the house", () => {
  it("lets imports point one way only", () => {
    const broken = files.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => ({
          target: relative(root, resolve(root, dirname(file), specifier)),
          isType: isOfTypes(file, specifier)
        }))
        .filter(({ target }) => target !== "package.json")
        .map(({ isType, target }) => ({ from: roomOf(file), to: roomOf(target), target, isType }))
        .filter(({ from, to }) => from !== to && !(rooms[from] ?? []).includes(to))
        .filter(({ from, to, isType }) => !(from === "web" && to === "src/api" && isType))
        .map(({ from, target }) => `${file} imports ${target}, but ${from} must not know that room.`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("puts every file of layers into a room, but for what makes the whole of them", () => {
    const whole = new Set([
      ...settings,
      "layers/DiscreetOtlp.ts",
      "layers/Main.ts",
      "layers/Roles.ts",
      "layers/Telemetry.ts"
    ])
    const homeless = files.filter((file) => ["layers", "src"].includes(roomOf(file)) && !whole.has(file))
    assert.deepStrictEqual(
      homeless.map((file) => `${file} lies in no room.`),
      []
    )
  })

  it("keeps technology out of src and migrations", () => {
    const broken = files
      .filter((file) => file.startsWith("src/") || file.startsWith("migrations/"))
      .flatMap((file) =>
        importsOf(file)
          .filter(
            (specifier) => !specifier.startsWith(".") && specifier !== "effect" && !specifier.startsWith("effect/")
          )
          .map(
            (specifier) => `${file} imports ${specifier}, but src and migrations may import effect and themselves only.`
          )
      )
    assert.deepStrictEqual(broken, [])
  })

  it("gives browsers the libraries that are served to them, and nothing else", () => {
    const broken = files
      .filter((file) => file.startsWith("web/"))
      .flatMap((file) =>
        importsOf(file)
          .filter((specifier) => !specifier.startsWith(".") && !Object.hasOwn(libraries, specifier))
          .map(
            (specifier) => `${file} imports ${specifier}, which is not served to browsers (layers/page/libraries.ts).`
          )
      )
    assert.deepStrictEqual(broken, [])
  })

  it("gives no two files one name, nor a name that says nothing", () => {
    // A file of exports is called as the room that it offers.
    const named = files.filter((file) => !file.startsWith("exports/"))
    const byName = Map.groupBy(named, (file) => basename(file).toLowerCase())
    const broken = [...byName].flatMap(([name, list]) =>
      list.length > 1 ? [`${list.join(" and ")} are both called ${name}.`] : []
    )
    const empty = files.filter((file) => /^(?:index|utils?|common|types|helpers?)\.ts$/.test(basename(file)))
    assert.deepStrictEqual([...broken, ...empty.map((file) => `${file} does not say what it is for.`)], [])
  })

  it("starts every file with what it is for", () => {
    const silent = files.filter((file) => !/^(?:#![^\n]*\n)?\/\*\*/.test(readFileSync(join(root, file), "utf8")))
    assert.deepStrictEqual(
      silent.map((file) => `${file} has no header.`),
      []
    )
  })

  it("reads no environment and no clock of the process in src", () => {
    const forbidden =
      /\bprocess\.|\bDeno\.|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b/
    const broken = files
      .filter((file) => file.startsWith("src/"))
      .filter((file) =>
        forbidden.test(readFileSync(join(root, file), "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, ""))
      )
    assert.deepStrictEqual(
      broken.map((file) => `${file} reads the process's clock, chance or environment.`),
      []
    )
  })
})
