/**
 * The directory of a demo: where its database really lies, how much room it takes, and how it is emptied.
 *
 * As root the database may lie elsewhere, behind a symbolic link.
 */
import { Effect, FileSystem, Option, Path } from "effect"

/** The directories in which the demo's data are. */
export const placesOf = Effect.fnUntraced(function* (data: string) {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  const own = path.resolve(data)
  const target = yield* Effect.option(fs.realPath(path.join(own, "postgres")))
  const real = Option.getOrElse(yield* Effect.option(fs.realPath(own)), () => own)
  return Option.isSome(target) && !target.value.startsWith(`${real}/`) ? [own, target.value] : [own]
})

/** Bytes of the files in it, not followed through links. */
const sizeOf = (directory: string): Effect.Effect<number, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
    const names = yield* Effect.orElseSucceed(fs.readDirectory(directory), () => [])
    let sum = 0
    for (const name of names) {
      const file = path.join(directory, name)
      if (yield* Effect.isSuccess(fs.readLink(file))) continue
      // PostgreSQL removes files while they are counted.
      const found = yield* Effect.option(fs.stat(file))
      if (Option.isNone(found)) continue
      sum += found.value.type === "Directory" ? yield* sizeOf(file) : Number(found.value.size)
    }
    return sum
  })

export const roomOf = Effect.fnUntraced(function* (data: string) {
  const sizes = yield* Effect.forEach(yield* placesOf(data), sizeOf)
  return sizes.reduce((sum, size) => sum + size, 0)
})

export const emptyDirectory = Effect.fnUntraced(function* (data: string) {
  const fs = yield* FileSystem.FileSystem
  for (const place of (yield* placesOf(data)).toReversed()) yield* fs.remove(place, { recursive: true, force: true })
})
