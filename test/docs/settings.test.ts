/**
 * The page of settings has each of them as the code does; `npx vitest run test/docs/settings.test.ts -u` writes its table anew. A
 * copied `.env.example` is read by the service as the page says.
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, expect, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted } from "effect"
import { join, resolve } from "node:path"
import { freePort } from "../../layers/embedded/freePort.ts"
import { type Setting, Settings } from "../../layers/Settings.ts"
import { documentPage } from "../support/documentBlocks.ts"
import { ownCheckout } from "../support/ownCheckout.ts"
import { runBlock, startBlock } from "../support/runBlock.ts"
import { untilReady } from "../support/serviceBlock.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const page = documentPage("docs/settings.md")
const file = resolve(import.meta.dirname, "../../docs/settings.md")

const table = Object.entries<Setting<unknown>>(Settings)
  .map(([name, { fallback, meaning }]) => `| \`${name}\` | ${fallback} | ${meaning} |`)
  .join("\n")

const services = Layer.mergeAll(TestDatabase.layer, NodeHttpClient.layerUndici, NodeServices.layer)

/** Each command of a block is a process that starts; on a machine with other work that takes a while. */
const patient = 180_000

layer(services, { excludeTestServices: true })("docs/settings.md", (it) => {
  it.effect(
    "lists every setting with its default and meaning",
    () =>
      Effect.gen(function* () {
        const files = yield* FileSystem.FileSystem
        const text = yield* files.readFileString(file)
        const asCode = text.replace(
          /(<!-- settings[^>]*-->\s*\| name[^\n]*\n\|[^\n]*\n)[\s\S]*?(\n<!-- end of settings -->)/,
          (_, head: string, end: string) => `${head}${table}${end}`
        )
        assert.include(asCode, table)
        yield* Effect.promise(() => expect(asCode).toMatchFileSnapshot(file))
      }),
    patient
  )

  it.effect(
    "says how settings are read from a file",
    () =>
      Effect.gen(function* () {
        const files = yield* FileSystem.FileSystem
        const { url } = yield* TestDatabase
        const cwd = yield* ownCheckout
        const lines = page.take("env file").split("\n")
        const port = yield* freePort
        yield* runBlock({ cwd, env: {} }, lines.slice(0, -1).join("\n"))
        // As somebody fills it in before the last line.
        const filledIn = [
          ["#HTTP_PORT=8080", `HTTP_PORT=${port}`],
          ["#DATABASE_URL=", `DATABASE_URL=${Redacted.value(url)}`],
          ["#HTTP_HOST=0.0.0.0", "HTTP_HOST=127.0.0.1"]
        ] as const
        let env = yield* files.readFileString(join(cwd, ".env"))
        for (const [printed, here] of filledIn) {
          assert.include(env, printed)
          env = env.replace(printed, here)
        }
        yield* files.writeFileString(join(cwd, ".env"), env)
        const started = yield* startBlock({ cwd, env: {} }, lines.at(-1) ?? "")
        const here = `http://127.0.0.1:${port}`
        yield* untilReady(here, started.output)
        const asked = page.take("keys of the file").replace("http://localhost:8080", here)
        const { out } = yield* runBlock({ cwd, env: {} }, asked)
        assert.include(out, "admin")
      }),
    patient
  )

  it.effect("has no other blocks", () => Effect.sync(() => assert.deepStrictEqual(page.untaken(), [])))
})
