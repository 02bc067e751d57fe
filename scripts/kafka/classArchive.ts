/**
 * The classes that a node loads, in the form that Java maps into memory instead of reading jars: a start then takes 3.1 s of a
 * processor instead of 5.4.
 *
 * An archive lies beside the jars, named after them and after the Java that made it, so that others do not find it and one is made
 * anew (makeClassArchive.ts). Nodes start without one as well: Java passes over what it cannot use.
 */
import { Effect, FileSystem } from "effect"
import { createHash } from "node:crypto"

/** All jars, always in the same order: an archive holds for one class path. */
export const classPathOf = Effect.fnUntraced(function* (jars: string) {
  const fs = yield* FileSystem.FileSystem
  const names = (yield* fs.readDirectory(jars)).filter((name) => name.endsWith(".jar")).sort()
  return names.map((name) => `${jars}/${name}`)
})

/** Where the archive of these jars is or would be; `java` as it says of itself what it is. */
export const classArchive = Effect.fnUntraced(function* (java: string, jars: string) {
  const fs = yield* FileSystem.FileSystem
  const described = yield* Effect.forEach(yield* classPathOf(jars), (jar) =>
    Effect.map(fs.stat(jar), ({ mtime, size }) => [jar, String(size), mtime])
  )
  const name = createHash("sha256")
    .update(JSON.stringify([java, described]))
    .digest("hex")
  return `${jars}.${name.slice(0, 16)}.jsa`
})

/** What Java is told, so that it uses the archive where there is one. */
export const withClassArchive = Effect.fnUntraced(function* (java: string, jars: string) {
  const fs = yield* FileSystem.FileSystem
  const archive = yield* classArchive(java, jars)
  return (yield* fs.exists(archive)) ? [`-XX:SharedArchiveFile=${archive}`] : []
})
