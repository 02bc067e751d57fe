/** What `npm pack` gives, installed by npm into an empty project. */
import { Context, Effect, FileSystem, Layer, Path, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ownCheckout } from "./ownCheckout.ts"

export const place = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const text = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>) => Stream.mkString(Stream.decodeText(bytes))

/** Runs a program until it ends; `env` adds to our own environment. */
export const run = Effect.fnUntraced(function* (
  where: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
  program: string,
  ...args: ReadonlyArray<string>
) {
  const child = yield* ChildProcess.make(program, args, { ...where, extendEnv: true })
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
  const done = Effect.fnUntraced(function* (cwd: string, ...args: ReadonlyArray<string>) {
    const { code, err, out } = yield* run({ cwd }, "npm", ...args)
    return code === 0 ? out : yield* Effect.die(new Error(`npm ${args[0]} failed: ${err}`))
  })
  // What is built goes into a checkout of its own: another test may be building as well.
  const checkout = yield* ownCheckout
  const out = yield* done(checkout, "pack", "--json", "--pack-destination", project)
  // What is built before it writes its own lines in front of the answer.
  const [packed] = yield* Schema.decodeUnknownEffect(Packed)(out.slice(out.indexOf("[\n")))
  yield* files.writeFileString(paths.join(project, "package.json"), JSON.stringify({ type: "module" }))
  const quick = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
  yield* done(project, "install", ...quick, packed.filename)
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
