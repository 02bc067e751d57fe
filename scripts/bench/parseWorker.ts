/**
 * Parses a document again and again, with the service's parser (`ours`) or with saxes alone (`bare`).
 *
 * Bare means handlers that do nothing, the scanner's own options and its pieces, with the event loop given back after each
 * of them: what is left between the two is what Penstock does. Seconds are those that the thread was given, since a parse
 * waits for nothing: on a machine of its own they are the clock's, and elsewhere nobody else's work is among them.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import saxes from "saxes"
import { SaxesXmlScanner } from "../../layers/hilltop/SaxesXmlScanner.ts"
import { parseData } from "../../src/hilltop/HilltopXml.ts"
import { CHUNK_LENGTH } from "../../src/hilltop/XmlScanner.ts"
import { runWorker } from "./BenchWorker.ts"
import { parseWorker } from "./ParseOrder.ts"

const ours = (text: string) =>
  Effect.map(parseData(text), ({ measurements }) => measurements.reduce((sum, { rows }) => sum + rows.length, 0))

const nothing = () => {}

const bare = Effect.fnUntraced(function* (text: string) {
  const parser = new saxes.SaxesParser({ position: false, xmlns: false })
  parser.on("opentag", nothing)
  parser.on("closetag", nothing)
  parser.on("text", nothing)
  parser.on("cdata", nothing)
  for (let at = 0; at < text.length; at += CHUNK_LENGTH) {
    if (at > 0) yield* Effect.yieldNow
    parser.write(text.slice(at, at + CHUNK_LENGTH))
  }
  parser.close()
  return 0
})

const parse = process.argv[2] === "ours" ? ours : bare

const work = Effect.fnUntraced(function* ({ file, times }: typeof parseWorker.order.Type) {
  const fs = yield* FileSystem.FileSystem
  const bytes = yield* fs.readFile(file)
  const text = new TextDecoder().decode(bytes)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const before = process.threadCpuUsage()
  const rows = yield* Effect.replicateEffect(parse(text), times)
  const { system, user } = process.threadCpuUsage(before)
  delay.disable()
  return {
    bytesPerSecond: (bytes.length * times * 1e6) / (user + system),
    longestPause: delay.max / 1e6,
    rows: rows[0] ?? 0
  }
})

runWorker(parseWorker, work).pipe(Effect.provide(Layer.merge(SaxesXmlScanner, NodeServices.layer)), NodeRuntime.runMain)
