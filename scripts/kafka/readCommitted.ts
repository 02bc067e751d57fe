/**
 * What somebody else finds in topics: all their committed records as Kafka's own consumer for Java reads them, with which
 * nothing here shares a line. It takes the jars that a Kafka for development is run from, and a JDK, since its few lines
 * (JavaConsumer.java) are compiled as they start; that takes 2 seconds.
 */
import { NodeServices } from "@effect/platform-node"
import { Data, Effect, FileSystem, Path } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { kafkaJars } from "./kafkaJars.ts"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"

/** Kafka's own consumer could not be run, or did not reach the ends of the topics in four minutes; `message` is what it said. */
export class NotReadIndependently extends Data.TaggedError("NotReadIndependently")<{ readonly message: string }> {}

/** What the consumer itself needs; what else is among the jars would write its log to where the records go. */
const needed = /^(?:kafka-clients|slf4j-api|lz4-java|snappy-java|zstd-jni)-/
const machine = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

const run = (java: string, args: ReadonlyArray<string>) =>
  Effect.callback<string, NotReadIndependently>((resume) => {
    const options = { maxBuffer: 1_000_000_000, timeout: 240_000, killSignal: "SIGKILL" } as const
    const child = execFile(java, args, options, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(stdout)
          : Effect.fail(
              new NotReadIndependently({ message: `${error.message.slice(0, 500)}\n${stderr.slice(-2_000)}` })
            )
      )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const textOf = (base64: string) => (base64 === "-" ? "null" : Buffer.from(base64, "base64").toString())

const recordOf = (line: string): TopicRecord => {
  const [topic = "", partition, offset, at, key = "-", value = "-", headers = ""] = line.split("\t")
  const pairs = headers === "" ? [] : headers.split(",").map((one) => one.split(":").map(textOf) as [string, string])
  return {
    topic,
    partition: Number(partition),
    offset: Number(offset),
    key: textOf(key),
    value: textOf(value),
    headers: Object.fromEntries(pairs),
    at: Number(at)
  }
}

/**
 * All committed records of the topics, in the order of these and by partition and offset; up to the first open
 * transaction of a partition.
 * `brokers` as `KAFKA_BROKERS` has it.
 */
export const readCommitted = Effect.fnUntraced(
  function* (brokers: string, ...topics: ReadonlyArray<string>) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const jars = yield* kafkaJars(path.resolve(".penstock/kafka"))
    const classPath = (yield* fs.readDirectory(jars)).filter((jar) => needed.test(jar)).map((jar) => `${jars}/${jar}`)
    const home = process.env["JAVA_HOME"]
    const source = fileURLToPath(new URL("JavaConsumer.java", import.meta.url))
    const args = [...machine, "--class-path", classPath.join(path.sep === "/" ? ":" : ";"), source, brokers, ...topics]
    const lines = yield* run(home === undefined ? "java" : `${home}/bin/java`, args)
    return lines
      .split("\n")
      .filter((line) => line !== "")
      .map(recordOf)
      .sort(
        (a, b) => topics.indexOf(a.topic) - topics.indexOf(b.topic) || a.partition - b.partition || a.offset - b.offset
      )
  },
  (reading) => Effect.provide(reading, NodeServices.layer)
)
