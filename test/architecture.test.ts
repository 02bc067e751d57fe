/**
 * The direction of imports, as the README's map draws it. A broken rule is told in one sentence.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** What each room may import besides itself. */
const rooms: Readonly<Record<string, ReadonlyArray<string>>> = {
  "src/domain": [],
  "src/hilltop": ["src/domain"],
  "src/sync": ["src/domain"],
  "src/stream": ["src/domain", "src/hilltop"],
  "src/crawl": ["src/domain", "src/hilltop", "src/stream"],
  "src/api": ["src/domain", "src/hilltop", "src/sync", "src/stream", "src/crawl"],
  migrations: [],
  layers: ["src/domain", "src/hilltop", "src/sync", "src/stream", "src/crawl", "src/api", "migrations"],
  scripts: ["src/domain", "src/hilltop", "src/sync", "src/stream", "src/crawl", "src/api", "migrations", "layers"]
}

const files = globSync("{src,layers,migrations,scripts}/**/*.ts", { cwd: root }).sort()
const roomOf = (file: string) =>
  Object.keys(rooms).find((room) => file.startsWith(`${room}/`)) ?? `no room (${dirname(file)})`
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
        .map((specifier) => relative(root, resolve(root, dirname(file), specifier)))
        .filter((target) => target !== "package.json")
        .map((target) => ({ from: roomOf(file), to: roomOf(target), target }))
        .filter(({ from, to }) => from !== to && !(rooms[from] ?? []).includes(to))
        .map(({ from, target }) => `${file} imports ${target}, but ${from} must not know that room.`)
    )
    assert.deepStrictEqual(broken, [])
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

  it("gives no two files one name, nor a name that says nothing", () => {
    const byName = Map.groupBy(files, (file) => basename(file).toLowerCase())
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
