/**
 * `penstock doctor`: checks the settings and whether everything that the service depends on is there and usable, and says what to
 * do where it is not.
 *
 * Every check is made, whatever the others say; the command fails when one did. It makes nothing and migrates nothing.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { checkSettings, Settings } from "../../layers/Settings.ts"
import { describe } from "../../src/running/describe.ts"
import { checkContract } from "../doctor/checkContract.ts"
import { checkDatabase, noDatabaseYet } from "../doctor/checkDatabase.ts"
import { bytesText, checkKeys, checkRoom, leastRoom } from "../doctor/checkMachine.ts"
import { checkAdapter, checkOtlp } from "../doctor/checkNeighbours.ts"
import { failed, type Finding, ok } from "../doctor/Finding.ts"
import { requireWritable } from "./beforeStart.ts"
import { decodeGsrn } from "./gsrnFlag.ts"
import { Json } from "./globalFlags.ts"
import { print, printJson } from "./output.ts"
import { ProgressBar } from "./ProgressBar.ts"
import { CommandFailed } from "./told.ts"
import { withLogAndBar, embeddedDirectory, embeddedExists, placeBesideService } from "./withDatabase.ts"

const mark = { ok: "ok    ", warning: "WARN  ", failed: "FAIL  " } as const

const linesOf = ({ check, found, remedy, state }: Finding): ReadonlyArray<string> => [
  `${mark[state]}${check}: ${found}`,
  ...(remedy === undefined ? [] : [`      → ${remedy}`])
]

const tell = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>) {
  yield* (yield* Json) ? printJson(findings) : print(...findings.flatMap(linesOf))
  return findings
})

/** A check that fails itself is a finding as well. */
const check = <E, R>(name: string, finding: Effect.Effect<ReadonlyArray<Finding>, E, R>) =>
  ProgressBar.use(({ show }) => show({ what: `Checks ${name}` })).pipe(
    Effect.andThen(finding),
    Effect.catchCause((cause) => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      const message = error instanceof Error && error.message !== "" ? error.message : describe(cause)
      return Effect.succeed([failed(name, message, "mend that, and ask again")])
    }),
    Effect.flatMap(tell)
  )

const database = Effect.gen(function* () {
  if ((yield* Settings.DATABASE_URL.config) !== undefined || (yield* embeddedExists)) {
    return yield* Effect.provide(checkDatabase, placeBesideService)
  }
  const directory = yield* embeddedDirectory
  return yield* requireWritable(directory, "PENSTOCK_DATA").pipe(
    Effect.as([noDatabaseYet(directory)]),
    Effect.catchTag("CommandFailed", ({ message }) =>
      Effect.succeed([failed("database", message, "let PENSTOCK_DATA name a directory that can be written")])
    )
  )
})

/** Its client is loaded for this alone. */
const kafka = Effect.flatMap(
  Effect.promise(() => import("../doctor/checkKafka.ts")),
  ({ checkKafka }) => checkKafka
)

const room = (least: number) =>
  Effect.gen(function* () {
    // How full the disk of another machine is, its server does not say.
    if ((yield* Settings.DATABASE_URL.config) !== undefined) return []
    return yield* checkRoom(yield* embeddedDirectory, least)
  })

const settings = checkSettings.pipe(
  Effect.as<ReadonlyArray<Finding>>([ok("settings", "usable")]),
  Effect.catchTag("SettingsError", ({ faults }) =>
    Effect.succeed(faults.map((fault) => failed("settings", fault, "correct it in the environment")))
  )
)

/** Fails when anything did, with how many there are to mend, and what for. */
const failOn = Effect.fnUntraced(function* (findings: ReadonlyArray<Finding>, before: string) {
  const faults = findings.filter(({ state }) => state === "failed").length
  if (faults === 0) return
  const what = faults === 1 ? "One thing" : `${faults} things`
  return yield* new CommandFailed({ message: `${what} must be mended before ${before}.` })
})

const adapter = Command.make(
  "adapter",
  {
    gsrn: Flag.String("gsrn").pipe(
      Flag.withDescription("An accounting point that the adapter knows"),
      Flag.withMetavar("GSRN")
    )
  },
  Effect.fnUntraced(function* ({ gsrn }) {
    const known = yield* decodeGsrn(gsrn)
    yield* checkSettings
    const contract = check("the adapter", checkContract(known))
    yield* Effect.flatMap(withLogAndBar(contract), (findings) => failOn(findings, "the adapter keeps the contract"))
  })
).pipe(
  Command.withDescription(
    "Try whether the adapter keeps the contract, with one accounting point; says what it does wrong"
  ),
  Command.withExamples([
    {
      command: "ADAPTER_URL=http://localhost:9000 ADAPTER_API_KEY=… penstock doctor adapter --gsrn 707057500000000001",
      description: "While an adapter is being written"
    }
  ])
)

const gigabytes = 1_000_000_000

export const doctor = Command.make(
  "doctor",
  {
    room: Flag.Finite("room").pipe(
      Flag.withDescription(`Gigabytes that must be free for an embedded database; ${bytesText(leastRoom)} unless said`),
      Flag.withMetavar("GB"),
      Flag.withDefault(leastRoom / gigabytes)
    )
  },
  Effect.fnUntraced(
    function* ({ room: least }) {
      const usable = yield* check("settings", settings)
      const rest = usable.every(({ state }) => state === "ok")
        ? [
            yield* check("api keys", checkKeys),
            yield* check("database", database),
            yield* check("disk", room(least * gigabytes)),
            yield* check("kafka", kafka),
            yield* check("adapter", checkAdapter),
            yield* check("telemetry", checkOtlp)
          ].flat()
        : []
      const faults = [...usable, ...rest].filter(({ state }) => state === "failed").length
      if (faults > 0) {
        const what = faults === 1 ? "One thing" : `${faults} things`
        return yield* new CommandFailed({ message: `${what} must be mended before the service can work.` })
      }
    },
    (command) => withLogAndBar(Effect.provide(command, NodeServices.layer))
  )
).pipe(
  Command.withDescription("Check the settings and whether every dependency can be used; says what to do"),
  Command.withExamples([
    { command: "penstock doctor", description: "Before a first start, or when something is wrong" },
    { command: "penstock doctor --json | jq 'select(.state != \"ok\")'", description: "Only what is not well" }
  ]),
  Command.withSubcommands([adapter])
)
