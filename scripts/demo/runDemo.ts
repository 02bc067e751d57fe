/**
 * The demo: the whole service with simulated neighbours, on one screen.
 *
 * Everything is real but the neighbours: PostgreSQL, HTTP, both flows. The log goes to a file, so that the screen stays
 * readable; a count of its warnings and errors does not hide what went wrong.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Clock, ConfigProvider, Console, Effect, FileSystem, Layer, Logger, Option, Path, Schedule } from "effect"
import { DatabasePlace } from "../../layers/postgres/Database.ts"
import { Main } from "../../layers/Main.ts"
import { exampleClaim } from "../../src/domain/ExampleNumbers.ts"
import { blotPersonalNumbers } from "../../src/domain/PersonalNumber.ts"
import { cannotListen, requirePort, requireWritable } from "../commands/beforeStart.ts"
import { Json } from "../commands/globalFlags.ts"
import { bytesText } from "../doctor/checkMachine.ts"
import { AdapterSimulator } from "../simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../simulators/HilltopSimulator.ts"
import { emptyDirectory, placesOf, roomOf } from "./demoDirectory.ts"
import { type DemoProgress, readProgress } from "./DemoProgress.ts"
import { addressesOf, addressesText, farewell, notedText, progressLine, progressLines, screenOf } from "./DemoScreen.ts"
import { demoSettings, makeKeys } from "./DemoSettings.ts"
import { hilltopPortFor, keepHilltopPort } from "./DemoState.ts"
import { openScreen } from "./DemoTerminal.ts"
import { addSources, keepChanging, keepLookingUp, makeExampleTrue, registerUnits, untilReady } from "./DemoTraffic.ts"

const points = 5_000

const simulators = (hilltopPort: number) =>
  Layer.merge(
    AdapterSimulator.layer({ points, seed: 7, changesPerPointPerDay: 0.05, faults: { latency: 30, jitter: 20 } }),
    HilltopSimulator.layer({ seed: 7, port: hilltopPort, faults: [{ fault: "delay", milliseconds: 20 }] })
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

export interface DemoOptions {
  readonly minutes: Option.Option<number>
  readonly port: number
  readonly data: string
  readonly fresh: boolean
}

interface Seen {
  readonly progress: DemoProgress
  readonly seconds: number
}

/** How the demo shows itself: on a screen of its own, or line by line. */
interface Showing {
  readonly greet: (addresses: ReturnType<typeof addressesOf>) => Effect.Effect<void>
  readonly show: (addresses: ReturnType<typeof addressesOf>, seen: Seen, noted: string) => Effect.Effect<void>
  readonly every: "1 second" | "5 seconds"
}

const onScreen = Effect.map(openScreen, (draw): Showing => ({
  greet: () => Effect.void,
  show: (addresses, { progress, seconds }, noted) => draw(screenOf(addresses, progressLines(progress), noted, seconds)),
  every: "1 second"
})).pipe(
  Effect.tap(() =>
    Effect.sync(() => void process.stdout.write("Starts PostgreSQL, the service and its simulated neighbours …\r\n"))
  )
)

const asLines: Showing = {
  greet: (addresses) => Console.log(addressesText(addresses)),
  show: (_, { progress, seconds }) => Console.log(progressLine(progress, seconds)),
  every: "5 seconds"
}

const asJson: Showing = {
  greet: ({ log, page }) => Console.log(JSON.stringify({ page, log })),
  show: (_, { progress, seconds }) => Console.log(JSON.stringify({ seconds: Math.round(seconds), ...progress })),
  every: "5 seconds"
}

/** The service with its traffic, shown until the time is over; what was seen last goes to `onSeen`. */
const run = Effect.fnUntraced(function* (
  { data, minutes, port }: DemoOptions,
  hilltopPort: number,
  showing: Showing,
  onSeen: (seen: Seen, noted: string) => void
) {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const startedAt = yield* Clock.currentTimeMillis
  const logFile = path.resolve(data, "penstock.log")
  const log = fileLog(logFile)
  const adapter = yield* AdapterSimulator
  const keys = makeKeys()
  const url = `http://127.0.0.1:${port}`

  const withService = Effect.gen(function* () {
    yield* untilReady(url)
    yield* keepHilltopPort(data, hilltopPort)
    const { psql } = yield* DatabasePlace
    yield* makeExampleTrue
    const { gsrn, lookupEndUser = exampleClaim } = yield* adapter.point(0)
    const file = path.join(data, "try.txt")
    const addresses = addressesOf({
      url,
      keys,
      gsrn,
      endUser: lookupEndUser,
      psql,
      log: logFile,
      file,
      data: path.resolve(data)
    })
    yield* fs.writeFileString(file, `${addressesText(addresses)}\n`, { mode: 0o600 })

    yield* showing.greet(addresses)
    yield* addSources(url, keys)
    yield* adapter.postEvents({ url, key: keys.event, every: "200 millis" })
    yield* Effect.forkScoped(keepLookingUp(url, keys, points))
    yield* Effect.forkScoped(keepChanging)
    yield* Effect.forkScoped(
      registerUnits(url, keys).pipe(Effect.catchTag("DemoFailed", ({ message }) => Effect.logError(message)))
    )
    const show = Effect.gen(function* () {
      const progress = yield* readProgress
      const seen = { progress, seconds: ((yield* Clock.currentTimeMillis) - startedAt) / 1_000 }
      const noted = notedText(log.counts)
      onSeen(seen, noted)
      yield* showing.show(addresses, seen, noted)
    })
    const forEver = show.pipe(Effect.repeat(Schedule.spaced(showing.every)))
    yield* Option.match(minutes, {
      onNone: () => forEver,
      onSome: (limit) => Effect.timeoutOption(forEver, `${limit} minutes`)
    })
    yield* show
  })

  yield* withService.pipe(
    Effect.scoped,
    Effect.provide(
      Main.pipe(
        Layer.provide(ConfigProvider.layer(demoSettings({ data, port, keys, adapter }))),
        Layer.provideMerge(log.layer)
      )
    ),
    Effect.catchTag("ServeError", ({ cause }) => Effect.fail(cannotListen("127.0.0.1", port, cause, "--port")))
  )
})

/** Runs until interrupted, or for so many minutes; says at the end what is left. */
export const runDemo = Effect.fnUntraced(function* (options: DemoOptions) {
  const { data, fresh, port } = options
  yield* requirePort("127.0.0.1", port, "--port")
  yield* requireWritable(data, "--data")
  if (fresh) yield* emptyDirectory(data)
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(data, { recursive: true })
  const hilltopPort = yield* hilltopPortFor(data)
  const json = yield* Json
  let last: { readonly seen: Seen; readonly noted: string } | undefined

  const leave = Effect.gen(function* () {
    if (last === undefined) return
    const { noted, seen } = last
    const places = yield* placesOf(data)
    const room = yield* roomOf(data)
    if (json) return yield* Console.log(JSON.stringify({ ended: true, ...seen, disk_bytes: room, data: places }))
    const lines = [...progressLines(seen.progress), "", `${noted}, after ${Math.round(seen.seconds)} s.`]
    yield* Console.log(`\n${lines.join("\n")}\n\n${farewell(bytesText(room), places)}`)
  })
  yield* Effect.gen(function* () {
    const showing = json ? asJson : process.stdout.isTTY ? yield* onScreen : asLines
    yield* run(options, hilltopPort, showing, (seen, noted) => {
      last = { seen, noted }
    }).pipe(Effect.provide(Layer.merge(simulators(hilltopPort), NodeHttpClient.layerUndici)))
  }).pipe(
    Effect.scoped,
    Effect.onExit(() => leave)
  )
})
