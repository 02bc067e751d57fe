/** What `npm pack` gives, installed by npm into an empty project, as docs/developers.md has it. */
import { Context, Effect, FileSystem, Layer, Path, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { documentPage } from "./documentBlocks.ts"
import { copiedCheckout } from "./ownCheckout.ts"

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

/** What is said there of the package as a library. */
export const libraryPage = documentPage("docs/developers.md")

const install = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const home = yield* files.makeTempDirectoryScoped({ prefix: "penstock-package-" })
  const [packages, project] = [paths.join(home, "penstock"), paths.join(home, "project")]
  for (const directory of [packages, project]) yield* files.makeDirectory(directory)
  const done = Effect.fnUntraced(function* (cwd: string, block: string, env: Readonly<Record<string, string>>) {
    const { code, err, out } = yield* run({ cwd, env }, "sh", "-euc", block)
    return code === 0 ? out : yield* Effect.die(new Error(`${block} failed: ${err}`))
  })
  // What is built goes into a checkout of its own: another test may be building as well.
  const out = yield* done(yield* copiedCheckout, libraryPage.take("pack"), {
    npm_config_json: "true",
    npm_config_pack_destination: packages
  })
  // What is built before it writes its own lines in front of the answer.
  const [packed] = yield* Schema.decodeUnknownEffect(Packed)(out.slice(out.indexOf("[\n")))
  yield* files.writeFileString(paths.join(project, "package.json"), JSON.stringify({ type: "module" }))
  yield* done(project, libraryPage.take("install"), {
    npm_config_prefer_offline: "true",
    npm_config_ignore_scripts: "true",
    npm_config_audit: "false",
    npm_config_fund: "false"
  })
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
