/**
 * The demo: the whole service with simulated neighbours, on one screen.
 *
 * Everything is real but the neighbours: PostgreSQL, HTTP, both flows. The log goes to a file, so that the screen stays
 * readable; a count of its warnings and errors does not hide what went wrong.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import {
  Clock,
  ConfigProvider,
  Console,
  Duration,
  Effect,
  FileSystem,
  Layer,
  Logger,
  Option,
  Path,
  Schedule
} from "effect"
import { DatabasePlace } from "../../layers/postgres/Database.ts"
import { Main } from "../../layers/Main.ts"
import { blotPersonalNumbers } from "../../src/domain/PersonalNumber.ts"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { readProgress } from "./DemoProgress.ts"
import { addresses, progressLine, progressText } from "./DemoScreen.ts"
import { demoSettings, makeKeys } from "./DemoSettings.ts"
import { addSources, keepChanging, keepLookingUp, registerUnits, untilReady } from "./DemoTraffic.ts"

const points = 5_000

const simulators = Layer.merge(
  AdapterSimulator.layer({ points, seed: 7, changesPerPointPerDay: 0.05, faults: { latency: 30, jitter: 20 } }),
  HilltopSimulator.layer({ seed: 7, faults: [{ fault: "delay", milliseconds: 20 }] })
)

/** Writes the log to a file and counts what a person should look at. */
const fileLog = (path: string) => {
  const counts = { warnings: 0, errors: 0 }
  const line = Logger.map(Logger.formatJson, blotPersonalNumbers)
  const counting = Logger.make<unknown, string>((options) => {
    if (options.logLevel === "Warn") counts.warnings++
    if (options.logLevel === "Error" || options.logLevel === "Fatal") counts.errors++
    return line.log(options)
  })
  return { counts, layer: Logger.layer([Logger.toFile(counting, path)]).pipe(Layer.provide(NodeServices.layer)) }
}

const emptyDirectory = Effect.fnUntraced(function* (data: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  // As root the database may lie elsewhere, behind a symbolic link.
  const database = path.join(data, "postgres")
  const target = yield* Effect.option(fs.realPath(database))
  if (Option.isSome(target)) yield* fs.remove(target.value, { recursive: true, force: true })
  yield* fs.remove(data, { recursive: true, force: true })
})

export interface DemoOptions {
  readonly minutes: Option.Option<number>
  readonly port: number
  readonly data: string
  readonly fresh: boolean
}

const clearScreen = "\x1b[2J\x1b[H"

/** Runs until interrupted, or for so many minutes. */
export const runDemo = Effect.fnUntraced(
  function* ({ data, fresh, minutes, port }: DemoOptions) {
    if (fresh) yield* emptyDirectory(data)
    const fs = yield* FileSystem.FileSystem
    yield* fs.makeDirectory(data, { recursive: true })
    const startedAt = yield* Clock.currentTimeMillis
    const logFile = (yield* Path.Path).resolve(data, "penstock.log")
    const log = fileLog(logFile)
    const adapter = yield* AdapterSimulator
    const keys = makeKeys()
    const url = `http://127.0.0.1:${port}`

    const run = Effect.gen(function* () {
      yield* untilReady(url)
      const { psql } = yield* DatabasePlace
      const { gsrn, lookupEndUser = "010180" } = yield* adapter.point(0)
      const head = addresses({ url, keys, gsrn, endUser: lookupEndUser, psql, log: logFile })
      const elapsed = Effect.map(Clock.currentTimeMillis, (now) => (now - startedAt) / 1000)
      const text = Effect.map(Effect.all([readProgress, elapsed]), ([progress, since]) => {
        const { errors, warnings } = log.counts
        const noted = `${errors} errors and ${warnings} warnings in the log`
        return { screen: `${progressText(progress, since)}\n\n${noted}`, line: progressLine(progress, since) }
      })

      yield* Console.log(head)
      yield* addSources(url, keys)
      yield* adapter.postEvents({ url, key: keys.event, every: "200 millis" })
      yield* Effect.forkScoped(keepLookingUp(url, keys, points))
      yield* Effect.forkScoped(keepChanging)
      yield* Effect.forkScoped(
        registerUnits(url, keys).pipe(Effect.catchTag("DemoFailed", ({ message }) => Effect.logError(message)))
      )

      const terminal = process.stdout.isTTY
      const show = Effect.flatMap(text, ({ line, screen }) =>
        Console.log(terminal ? `${clearScreen}${head}\n\n${screen}\n\nCtrl-C stops all of it.` : line)
      )
      const forEver = show.pipe(Effect.repeat(Schedule.spaced(terminal ? "1 second" : "5 seconds")))
      yield* Option.match(minutes, {
        onNone: () => forEver,
        onSome: (limit) => Effect.timeoutOption(forEver, Duration.minutes(limit))
      })
      yield* Console.log(`\n${(yield* text).screen}`)
    })

    yield* run.pipe(
      Effect.scoped,
      Effect.provide(
        Main.pipe(
          Layer.provide(ConfigProvider.layer(demoSettings({ data, port, keys, adapter }))),
          Layer.provideMerge(log.layer)
        )
      )
    )
  },
  Effect.provide(Layer.merge(simulators, NodeHttpClient.layerUndici))
)
