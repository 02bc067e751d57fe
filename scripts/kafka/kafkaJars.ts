/**
 * The jars of Apache Kafka, fetched once by the user's own Maven, so that its mirrors and proxies apply.
 *
 * They come as dependencies of a pom that is written for the purpose. What Maven copied becomes visible in one step at the
 * end, by a rename: a fetch that was cut off, or made by two at once, leaves nothing half.
 */
import { Data, Effect, FileSystem } from "effect"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"

export const kafkaVersion = "4.2.0"
/** The last one that reads what Kafka's own distribution logs with. */
const log4jVersion = "2.25.3"
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

/** Kafka cannot be run here; `message` names what is missing and the way out. */
export class KafkaNotPossible extends Data.TaggedError("KafkaNotPossible")<{ readonly message: string }> {}

/** What a program printed, to both streams; fails with that when it cannot be run or ends badly. */
export const output = (command: string, args: ReadonlyArray<string>): Effect.Effect<string, string> =>
  Effect.callback((resume) => {
    const child = execFile(command, args, { maxBuffer: 10_000_000 }, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(`${stdout}${stderr}`)
          : Effect.fail(`${stdout}${stderr}`.trim() || error.message)
      )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const dependency = (group: string, artifact: string, version: string) =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>penstock</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency("org.apache.kafka", "kafka_2.13", kafkaVersion)}
    ${dependency("org.apache.logging.log4j", "log4j-slf4j-impl", log4jVersion)}
  </dependencies>
</project>
`

/** The directory with the jars under `cache`, 43 MB that are fetched when they are not there. */
export const kafkaJars = Effect.fnUntraced(function* (cache: string) {
  const fs = yield* FileSystem.FileSystem
  const jars = `${cache}/jars-${kafkaVersion}`
  if (yield* fs.exists(jars)) return jars
  yield* Effect.mapError(
    output("mvn", ["--version"]),
    () =>
      new KafkaNotPossible({
        message: "Apache Kafka's jars have not been fetched yet, and Maven (mvn), which fetches them, is not installed."
      })
  )
  yield* Effect.logInfo(`Fetching Apache Kafka ${kafkaVersion} with Maven`)
  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* fs.makeDirectory(cache, { recursive: true })
      const work = yield* fs.makeTempDirectoryScoped({ directory: cache, prefix: `fetch-${randomUUID()}-` })
      yield* fs.writeFileString(`${work}/pom.xml`, pom)
      yield* output("mvn", [
        "--batch-mode",
        "--quiet",
        `--file=${work}/pom.xml`,
        copyDependencies,
        `-DoutputDirectory=${work}/jars`,
        "-DincludeScope=runtime"
      ]).pipe(
        Effect.mapError(
          (said) =>
            new KafkaNotPossible({ message: `Maven could not fetch Apache Kafka's jars:\n${said.slice(-2_000)}` })
        )
      )
      // Another fetch may have been faster.
      yield* fs
        .rename(`${work}/jars`, jars)
        .pipe(
          Effect.catch((error) =>
            Effect.flatMap(fs.exists(jars), (there) => (there ? Effect.void : Effect.fail(error)))
          )
        )
    })
  )
  return jars
})
