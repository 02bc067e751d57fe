/**
 * What somebody else finds in topics: all their committed records as Kafka's own consumer for Java reads them, with which
 * nothing here shares a line. It takes the jars that a Kafka for development is run from, and a JDK, since its few lines
 * (JavaConsumer.java) are compiled as they start; that takes 2 seconds.
 */
import { NodeServices } from "@effect/platform-node"
import { Data, Effect, FileSystem, Path, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import { kafkaJars } from "./kafkaJars.ts"
import type { TopicRecord } from "../../src/stream/TopicReader.ts"

/** Kafka's own consumer could not be run, or did not reach the ends of the topics in four minutes; `message` is what it said. */
export class NotReadIndependently extends Data.TaggedError("NotReadIndependently")<{ readonly message: string }> {}

/** What the consumer itself needs; what else is among the jars would write its log to where the records go. */
const needed = /^(?:kafka-clients|slf4j-api|lz4-java|snappy-java|zstd-jni)-/
const machine = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

/** Line by line: what an hour of a crawl leaves behind is more than one text can hold. */
const read = (java: string, args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const handle = yield* ChildProcess.make(java, args, { forceKillAfter: "1 second" })
    const [records, complaint, code] = yield* Effect.all(
      [
        handle.stdout.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.filter((line) => line !== ""),
          Stream.map(recordOf),
          Stream.runCollect
        ),
        handle.stderr.pipe(Stream.decodeText(), Stream.mkString),
        handle.exitCode
      ],
      { concurrency: 3 }
    )
    if (code !== 0) return yield* notRead(`${java} ended with ${code}\n${complaint.slice(-2_000)}`)
    return [...records]
  }).pipe(
    Effect.scoped,
    Effect.catchTag("PlatformError", (error) => notRead(error.message)),
    Effect.timeoutOrElse({ duration: "4 minutes", orElse: () => notRead("the ends were not reached in four minutes") })
  )

const notRead = (message: string) => Effect.fail(new NotReadIndependently({ message }))

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
    const records = yield* read(home === undefined ? "java" : `${home}/bin/java`, args)
    return records.sort(
      (a, b) => topics.indexOf(a.topic) - topics.indexOf(b.topic) || a.partition - b.partition || a.offset - b.offset
    )
  },
  (reading) => Effect.provide(reading, NodeServices.layer)
)
