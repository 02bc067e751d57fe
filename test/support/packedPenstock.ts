/**
 * What `npm pack` gives, unpacked as npm would install it: in `node_modules` of an empty project, beside its dependencies, which
 * are those of this checkout.
 */
import { Context, Effect, FileSystem, Layer, Path, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"

export const place = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

/** Runs a program in `cwd` until it ends. */
export const run = Effect.fnUntraced(function* (cwd: string, program: string, ...args: ReadonlyArray<string>) {
  const child = yield* ChildProcess.make(program, args, { cwd })
  const [out, err, code] = yield* Effect.all([text(child.stdout), text(child.stderr), child.exitCode], {
    concurrency: "unbounded"
  })
  return { out, err, code: Number(code) }
}, Effect.scoped)

const Packed = Schema.fromJsonString(
  Schema.Tuple([
    Schema.Struct({ filename: Schema.String, files: Schema.Array(Schema.Struct({ path: Schema.String })) })
  ])
)

const install = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const project = yield* files.makeTempDirectoryScoped({ prefix: "penstock-package-" })
  const modules = paths.join(project, "node_modules")
  const home = paths.join(modules, "penstock")
  yield* files.makeDirectory(home, { recursive: true })
  const { code, err, out } = yield* run(place("."), "npm", "pack", "--json", "--pack-destination", project)
  if (code !== 0) return yield* Effect.die(new Error(`npm pack failed: ${err}`))
  // What is built before it writes its own lines in front of the answer.
  const [packed] = yield* Schema.decodeUnknownEffect(Packed)(out.slice(out.indexOf("[\n")))
  yield* run(project, "tar", "-xzf", packed.filename, "--strip-components=1", "-C", home)
  for (const name of yield* files.readDirectory(place("node_modules"))) {
    if (name !== "penstock" && name !== ".bin") {
      yield* files.symlink(place(`node_modules/${name}`), paths.join(modules, name))
    }
  }
  return { project, files: packed.files.map(({ path }) => path) }
})

export class PackedPenstock extends Context.Service<
  PackedPenstock,
  {
    /** A directory whose `node_modules` has the package. */
    readonly project: string
    /** Paths of all files of the package. */
    readonly files: ReadonlyArray<string>
  }
>()("penstock/test/PackedPenstock") {
  static readonly layer = Layer.effect(PackedPenstock, Effect.orDie(install)).pipe(
    Layer.provideMerge(NodeServices.layer)
  )
}
