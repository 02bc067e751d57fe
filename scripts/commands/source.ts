/**
 * `penstock source …`: the Hilltop servers that are crawled. A running service notices every change at once.
 */
import { Console, Effect, Option, Schema, SchemaIssue } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { countTasksBySource } from "../../layers/crawl/taskCounts.ts"
import { PgHilltopAdministration } from "../../layers/api/PgHilltopAdministration.ts"
import { HilltopAdministration, SourceRegistration, SourceView } from "../../src/api/HilltopAdministration.ts"
import { Json } from "./globalFlags.ts"
import { answer, print, printJson, printTable } from "./output.ts"
import { CommandFailed, UsageError } from "./told.ts"
import { databaseIsThere, withDatabase, withMigratedDatabase } from "./withDatabase.ts"

const onSources = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  withDatabase(Effect.provide(command, PgHilltopAdministration))

const id = Argument.Int("id").pipe(Argument.withDescription("Number of the source, as `source list` shows it"))
const unknown = (id: number) =>
  new CommandFailed({ message: `There is no source ${id}. \`penstock source list\` shows them.` })

const flags = {
  council: Flag.Int("council").pipe(Flag.withDescription("Number of the council; part of every message")),
  url: Flag.String("url").pipe(Flag.withDescription("Address of its Hilltop file, such as https://…/data.hts")),
  measurement: Flag.String("measurement").pipe(
    Flag.withDescription("Name of a measurement that is wanted; repeat it for more"),
    Flag.atLeast(1)
  ),
  exclude: Flag.String("exclude").pipe(
    Flag.withDescription("Name of a site that is left out; repeat it for more"),
    Flag.atLeast(0)
  ),
  rate: Flag.Finite("rate").pipe(
    Flag.withDescription("Requests per second to its server, instead of CRAWL_SERVER_RATE"),
    Flag.optional
  ),
  concurrent: Flag.Int("concurrent").pipe(
    Flag.withDescription("Requests in flight to its server, instead of CRAWL_SERVER_CONCURRENCY"),
    Flag.optional
  ),
  paused: Flag.Boolean("paused").pipe(
    Flag.withDescription("Do not ask it before `source resume`"),
    Flag.withDefault(false)
  )
}

/** By which flag a field of a registration is given. */
const flagOf = (path: ReadonlyArray<unknown>): string => {
  const names = {
    council_id: "council",
    hts_url: "url",
    measurementNames: "measurement",
    excludedSitesNames: "exclude"
  }
  const more = { requestsPerSecond: "rate", maxConcurrent: "concurrent" }
  const found = Object.entries({ ...names, ...more }).find(([field]) => path.includes(field))
  return found === undefined ? path.join(".") : `--${found[1]}`
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const toldByFlag = ({ issue }: Schema.SchemaError) => {
  const lines = formatIssue(issue).issues.map(({ message, path = [] }) => {
    const names = path.map((part) => (typeof part === "object" ? part.key : part))
    return `${flagOf(names)}: ${message.replace(/^hts_url /, "")}`
  })
  return new UsageError({ message: lines.join("\n") })
}

const add = Command.make(
  "add",
  flags,
  Effect.fnUntraced(function* ({ concurrent, council, exclude, measurement, paused, rate, url }) {
    const registration = yield* Schema.decodeEffect(SourceRegistration, { errors: "all" })({
      council_id: council,
      hts_url: url,
      configuration: {
        measurementNames: measurement,
        ...(exclude.length === 0 ? {} : { excludedSitesNames: exclude }),
        ...Option.match(rate, { onNone: () => ({}), onSome: (requestsPerSecond) => ({ requestsPerSecond }) }),
        ...Option.match(concurrent, { onNone: () => ({}), onSome: (maxConcurrent) => ({ maxConcurrent }) })
      },
      paused
    }).pipe(Effect.mapError(toldByFlag))
    const added = HilltopAdministration.use((administration) => administration.addSource(registration)).pipe(
      Effect.catchTag("SourceExists", () =>
        Effect.fail(new CommandFailed({ message: `Council ${council} has a source with this address already.` }))
      )
    )
    const command = Effect.provide(added, PgHilltopAdministration)
    // What a new operator does first: an embedded database that is not there yet is made.
    const isThere = yield* databaseIsThere
    const { id } = isThere ? yield* withDatabase(command) : yield* withMigratedDatabase(command)
    yield* answer([String(id)], { id })
    if (!isThere) {
      yield* Console.error(
        "There was no database, so a new one was made; no service runs on it yet. " +
          "For the one of a service that runs, say where it is with PENSTOCK_DATA or DATABASE_URL."
      )
    }
  })
).pipe(
  Command.withDescription("Add a Hilltop server to be crawled, and print the number it got"),
  Command.withExamples([
    {
      command:
        'penstock source add --council 9 --url https://hilltop.gw.govt.nz/WaterUse.hts --measurement "Water Meter Volume" --measurement "Water Meter Reading"',
      description: "Two measurements of one server, at the usual pace"
    }
  ])
)

const allSources = Effect.gen(function* () {
  const administration = yield* HilltopAdministration
  const found: Array<SourceView> = []
  for (let page = 1_000; page === 1_000;) {
    const sources = yield* administration.listSources({ after: found.at(-1)?.id ?? 0, limit: 1_000 })
    found.push(...sources)
    page = sources.length
  }
  return found
})

const list = Command.make(
  "list",
  {},
  Effect.fnUntraced(function* () {
    const counts = yield* countTasksBySource
    const sources = (yield* allSources).map((view) => {
      const { due = 0, tasks = 0 } = counts.get(view.id) ?? {}
      return { view, tasks, due }
    })
    if (yield* Json) {
      const encode = Schema.encodeEffect(SourceView)
      const objects = yield* Effect.forEach(sources, ({ view, ...counted }) =>
        Effect.map(encode(view), (encoded) => ({ ...encoded, ...counted }))
      )
      return yield* printJson(objects)
    }
    if (sources.length === 0)
      return yield* print("There are no sources yet. `penstock source add --help` says how to add one.")
    yield* printTable(
      ["id", "council", "url", "paused", "tasks", "due", "problem"],
      sources.map(({ due, tasks, view }) => [
        view.id,
        view.council_id,
        view.hts_url,
        view.paused,
        tasks,
        due,
        view.problem
      ])
    )
  }, onSources)
).pipe(
  Command.withDescription(
    "Show all sources, with how many tasks they have, how many of them are due, and what is wrong with a source"
  )
)

const pause = Command.make(
  "pause",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const administration = yield* HilltopAdministration
    if (!(yield* administration.pauseSource(id))) return yield* unknown(id)
    yield* answer([`Source ${id} is paused. Its tasks and data are kept.`], { id, paused: true })
  }, onSources)
).pipe(Command.withDescription("Stop asking a source; its tasks and data are kept"))

const resume = Command.make(
  "resume",
  { id },
  Effect.fnUntraced(function* ({ id }) {
    const administration = yield* HilltopAdministration
    const resumed = yield* administration.resumeSource(id)
    if (resumed === undefined) return yield* unknown(id)
    const { problem } = resumed
    const lines = [`Source ${id} is asked again.`, ...(problem === null ? [] : [`It had a problem: ${problem}`])]
    yield* answer(lines, { id, paused: false, problem })
  }, onSources)
).pipe(Command.withDescription("Ask a paused source again"))

export const source = Command.make("source").pipe(
  Command.withDescription("Hilltop servers that are crawled: add, list, pause, resume"),
  Command.withSubcommands([add, list, pause, resume])
)
