/**
 * `docs/errors.md` has every error that somebody sees: what the code can say is collected from the code, and must stand on the page.
 *
 * Of a message with gaps each of its fixed parts must be there.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { globSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { FetchResult, SetAsideReason } from "../../src/domain/FetchTask.ts"
import { AdapterFailureKind } from "../../src/sync/AdapterClient.ts"
import { ApiUnderTest, keyOf, layer as apiLayer } from "../api/ApiUnderTest.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { runCommand } from "../support/runCommand.ts"

const root = resolve(import.meta.dirname, "../..")
const read = (file: string) => readFileSync(resolve(root, file), "utf8")
const path = "docs/errors.md"
const page = documentPage("docs/errors.md")
const source = read(path)
/** As a message is printed: without Markdown's signs, and in one line. */
const plain = (text: string) => text.replaceAll(/\\?`/g, "").replaceAll(/\s+/g, " ")
const whole = plain(source)

const section = (heading: string) => {
  const [, from = ""] = source.split(`\n## ${heading}\n`)
  return from.split("\n## ")[0] ?? ""
}

/** The literals of a piece of TypeScript: of a template its parts between the gaps, and those within the gaps. */
const literalsIn = (code: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  let at = 0
  const literal = (quote: string) => {
    let part = ""
    while (at < code.length && code[at] !== quote) {
      if (quote === "`" && code.startsWith("${", at)) {
        found.push(part)
        part = ""
        at += 2
        anything("}")
      } else {
        part += code[at] === "\\" ? `\\${code[++at]}` : code[at]
        at++
      }
    }
    at++
    found.push(part)
  }
  const anything = (end: string) => {
    for (let depth = 1; at < code.length;) {
      const sign = code[at++] ?? ""
      if (sign === "{") depth++
      if (sign === "}") depth--
      if (sign === end && depth === 0) return
      if (sign === '"' || sign === "`") literal(sign)
    }
  }
  anything("")
  return found
}

/** Parts that say something by themselves. */
const telling = (literals: ReadonlyArray<string>) =>
  literals
    .map((literal) => plain(literal.replaceAll(String.raw`\n`, " ")).replaceAll(/^[^A-Za-z-]+|\s+$/g, ""))
    .filter((literal) => / /.test(literal) && /[a-zA-Z]{3}/.test(literal) && literal.length > 8)

/** What stands in the brackets of each call that begins so. */
const callsOf = (code: string, beginning: RegExp): ReadonlyArray<string> =>
  [...code.matchAll(beginning)].map(({ 0: match, index }) => {
    let [depth, at] = [1, index + match.length]
    while (depth > 0 && at < code.length) {
      if (code[at] === "(") depth++
      if (code[at] === ")") depth--
      at++
    }
    return code.slice(index + match.length, at - 1)
  })

const missing = (said: Iterable<string>, where = whole) => [...new Set(said)].filter((part) => !where.includes(part))

const files = globSync("{src,layers,scripts}/**/*.ts", { cwd: root }).filter(
  (file) => !/^scripts\/(?:bench|chaos|pictures|simulators|licences|outline)/.test(file)
)

describe("the page of errors", () => {
  it("has a section for each problem of the API, with its status and its title", () => {
    const kinds = [
      ...read("src/api/Problems.ts").matchAll(/^ {2}"?([a-z-]+)"?: \{ status: (\d{3}), title: "([^"]+)" \}/gm)
    ]
    assert.isAbove(kinds.length, 25)
    const sections = section("Problems of the HTTP API")
    const there = [...sections.matchAll(/^### (\S+)\n(\d{3}), \*([^*]+)\*\./gm)].map(([, ...parts]) => parts.join(" "))
    assert.deepStrictEqual(there.sort(), kinds.map(([, ...parts]) => parts.join(" ")).sort())
  })

  it("has every tagged error, but for those of benchmarks and simulators", () => {
    const tags = files.flatMap((file) =>
      [...read(file).matchAll(/class (\w+) extends (?:Schema|Data)\.TaggedError/g)].map((match) => match[1] ?? "")
    )
    assert.isAbove(tags.length, 30)
    assert.deepStrictEqual(
      missing(
        tags.map((tag) => `\`${tag}\``),
        section("Tagged errors")
      ),
      []
    )
  })

  it("names no tagged error that is gone", () => {
    const all = files.map(read).join("\n")
    const named = [...section("Tagged errors").matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm)].flatMap(
      ([, cell = ""]) => cell.match(/\w+/g) ?? []
    )
    assert.isAbove(named.length, 30)
    assert.deepStrictEqual(
      named.filter((tag) => !all.includes(`class ${tag} extends`)),
      []
    )
  })

  it("has each result of a run, each reason to rest, and each way in which an accounting point fails", () => {
    const cells = (heading: string) =>
      [...section(heading).matchAll(/^\| `([A-Za-z_]+)` \|/gm)].map((match) => match[1] ?? "")
    assert.deepStrictEqual(cells("Results of a run"), [...FetchResult.literals])
    assert.deepStrictEqual(cells("Why a task rests"), [...SetAsideReason.literals])
    const own = [...read("src/sync/runClaims.ts").matchAll(/failedWith\("(\w+)"/g)].map((match) => match[1] ?? "")
    assert.isAtLeast(own.length, 3)
    const failing = cells("Failing accounting points")
    assert.deepStrictEqual([...failing].sort(), [...AdapterFailureKind.literals, ...own, "unreadable"].sort())
  })

  it("has what commands say when they cannot, and what stops a start", () => {
    const failures =
      /\bnew (?:CommandFailed|UsageError|KafkaNotPossible|DatabaseUnusable)\(|\b(?:refuse|unsupported|listenFault)\(/g
    const said = [
      ...globSync("scripts/{commands,kafka}/*.ts", { cwd: root }),
      "scripts/kafka.ts",
      ...globSync("layers/embedded/*.ts", { cwd: root }),
      "layers/postgres/Database.ts"
    ].flatMap((file) => callsOf(read(file), failures).flatMap((call) => telling(literalsIn(call))))
    // What is put together before it is said.
    const before = ["scripts/commands/beforeStart.ts", ...globSync("layers/embedded/*.ts", { cwd: root })].flatMap(
      (file) =>
        [...read(file).matchAll(/(?:return|const message =) (`[^`]*`|"[^"]*")/g)].flatMap(([, text = ""]) =>
          telling(literalsIn(text))
        )
    )
    assert.isAbove(said.length, 40)
    assert.isAbove(before.length, 10)
    // Of libraries and of the database: no message of its own.
    const others = new Set(["PostgreSQL cannot be used", "The database cannot be used:"])
    assert.deepStrictEqual(
      missing([...said, ...before]).filter((part) => !others.has(part)),
      []
    )
  })

  it("has every way in which a database cannot be used", () => {
    const problems = [...read("layers/postgres/databaseFault.ts").matchAll(/problem:\s*(`[^`]*`|"[^"]*")/g)]
    assert.isAbove(problems.length, 12)
    assert.deepStrictEqual(missing(problems.flatMap(([, text = ""]) => telling(literalsIn(text)))), [])
    const schema = read("layers/postgres/Database.ts")
    const steps = schema.slice(
      schema.indexOf("const message =\n    step"),
      schema.indexOf("const { description } = yield* DatabasePlace\n  return")
    )
    assert.isAtLeast(telling(literalsIn(steps)).length, 3)
    assert.deepStrictEqual(missing(telling(literalsIn(steps))), [])
  })

  it("has every reason of the embedded PostgreSQL", () => {
    const reasons = /reason: Schema\.Literals\(\[([\s\S]*?)\]\)/.exec(
      read("layers/embedded/EmbeddedPostgresError.ts")
    )?.[1]
    const names = [...(reasons ?? "").matchAll(/"(\w+)"/g)].map((match) => `\`${match[1]}\``)
    assert.strictEqual(names.length, 7)
    assert.deepStrictEqual(missing(names, section("The embedded PostgreSQL")), [])
  })

  it("has every check of the doctor", () => {
    const checks = globSync("scripts/doctor/*.ts", { cwd: root })
      .concat("scripts/commands/doctor.ts")
      .flatMap((file) => [
        ...read(file).matchAll(
          /\b(?:ok|warning|failed|clockFinding|statusFinding|tried)\(\s*(?:"([a-z ]+)"|`(kafka [a-z]+) \$)/g
        )
      ])
      .map(([, whole, part]) => whole ?? `${part} …`)
    assert.isAbove(new Set(checks).size, 20)
    assert.deepStrictEqual(
      missing(
        checks.map((check) => `\`${check}\``),
        section("The doctor")
      ),
      []
    )
  })

  it("has what a run tells of its failure", () => {
    const details = [
      ...callsOf(read("layers/hilltop/UndiciHilltopClient.ts"), /\b(?:failed|HilltopFetchFailed)\(/g),
      ...["src/hilltop/HilltopXml.ts", "src/crawl/readDocument.ts"].flatMap((file) =>
        callsOf(read(file), /new HilltopParseError\(/g)
      ),
      ...callsOf(read("src/crawl/runTask.ts"), /\bdivided\(task, /g),
      ...(read("src/hilltop/HilltopXml.ts").match(/"(?:an?|JSON|plain) [^"]* (?:answer|expected)"/g) ?? [])
    ].flatMap((code) => telling(literalsIn(code)))
    assert.isAbove(details.length, 15)
    assert.deepStrictEqual(missing(details), [])
  })

  it("has what is wrong with a source, and what is in doubt", () => {
    const rules = [
      ...(read("src/hilltop/HilltopUrl.ts").match(/"hts_url must[^"]*"|`hts_url must[^`]*`/g) ?? []),
      ...(read("src/domain/HilltopSource.ts").match(/message: "[^"]*"/g) ?? [])
    ].flatMap((code) => telling(literalsIn(code)))
    assert.isAbove(rules.length, 8)
    const noted = read("src/crawl/SiteNote.ts")
    const doubts = telling(literalsIn(noted.slice(noted.indexOf("export const doubtOf")))).filter(
      (part) => part !== "and 3 more" && !part.includes("?")
    )
    assert.isAtLeast(doubts.length, 3)
    const there = section("A source's problem").replaceAll(/\s+/g, " ")
    assert.deepStrictEqual(missing([...rules, ...doubts], plain(there)), [])
  })

  it("has why a record was set aside", () => {
    const reasons = [
      ...["src/stream/ObservationMapper.ts", "src/api/eventStage.ts"].flatMap((file) =>
        callsOf(read(file), /new (?:Unmappable|Undecodable)\(/g)
      ),
      ...callsOf(read("src/stream/observationStage.ts"), /\btoDeadLetter\(/g),
      ...callsOf(read("src/stream/mappingStage.ts"), /\btoDeadLetter\(/g),
      ...callsOf(read("layers/observations/PgObservationStore.ts"), /new BatchRefused\(/g),
      ...callsOf(read("src/stream/SeriesDocument.ts"), /Result\.fail\(/g),
      /const refusal = [\s\S]*?\n\}/.exec(read("layers/observations/PgObservationStore.ts"))?.[0] ?? ""
    ].flatMap((code) => telling(literalsIn(code)))
    assert.isAbove(reasons.length, 8)
    assert.deepStrictEqual(missing(reasons), [])
  })

  it("has what keeps an instance from being ready, and what may be stuck", () => {
    const ready = [
      ...(read("layers/api/PgReadiness.ts").match(/"(?:the database|migrations)[^"]*"/g) ?? []),
      ...callsOf(read("src/api/HealthHandlers.ts"), /\brefuse\(/g)
    ]
    const names = /const names[\s\S]*?\n\}/.exec(read("src/api/Progress.ts"))?.[0] ?? ""
    const said = [...ready, names].flatMap((code) => telling(literalsIn(code)))
    assert.isAbove(said.length, 10)
    assert.deepStrictEqual(
      missing(said).filter((part) => part !== "no progress in:"),
      []
    )
  })
})

describe("the blocks of the page of errors", () => {
  it.live("are what a start with bad settings says", () =>
    Effect.gen(function* () {
      const [, ...words] = /^((?:\w+=\S+ )+)penstock (.*)$/.exec(page.take("settings").trim()) ?? []
      const [given = "", command = ""] = words
      const env = Object.fromEntries(
        given
          .trim()
          .split(" ")
          .map((pair) => pair.split("="))
      )
      const { code, err } = yield* runCommand(env, ...command.split(" "))
      assert.deepStrictEqual({ code, err: err.trim() }, { code: 1, err: page.take("settings refused").trim() })
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.layer(apiLayer, { excludeTestServices: true })((it) => {
    it.effect("are what the API answers", () =>
      Effect.gen(function* () {
        const { ask } = yield* ApiUnderTest
        const { json, status } = yield* ask("/observation/site/404", { key: keyOf("read") })
        const { trace_id: traceId, ...shown } = JSON.parse(page.take("problem"))
        const { trace_id: own, ...told } = json as Record<string, unknown>
        assert.deepStrictEqual({ told, status }, { told: shown, status: shown.status })
        for (const id of [traceId, own]) assert.match(String(id), /^[0-9a-f]{32}$/)
      })
    )
  })

  it("leave none untried", () => {
    assert.deepStrictEqual(page.untaken(), [])
  })
})
