/**
 * Whom the service asks, composed as the service composes it: each client has connections and rules of its own, whichever was
 * made first, and whatever other client the process has.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { Outside } from "../../layers/Main.ts"
import { HilltopClient } from "../../src/hilltop/HilltopClient.ts"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { standIn } from "../support/standIn.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const answerAbout = (gsrn: string) =>
  JSON.stringify({ gsrn, end_user: [], energy_supplier: [], metering_grid_area: [] })

const outsideOf = (settings: Readonly<Record<string, string>>) =>
  Layer.build(Layer.fresh(Outside).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(settings)))))

const askHilltop = (context: Context.Context<HilltopClient>, url: string) =>
  Effect.scoped(Context.get(context, HilltopClient).fetch(`${url}/data.hts`))

it.layer(TestDatabase.layer, { excludeTestServices: true })("the outside of the service", (it) => {
  it.effect("asks an adapter that has a private name, and no Hilltop server that has one", () =>
    Effect.gen(function* () {
      const gsrn = gsrnOf(1)
      let asked = 0
      const server = yield* standIn((_, response) => {
        asked++
        response.end(answerAbout(gsrn))
      })
      for (const url of [server.byName, server.url]) {
        const context = yield* outsideOf({ ADAPTER_URL: url })
        assert.strictEqual((yield* Context.get(context, AdapterClient).fetch(gsrn, 0)).gsrn, gsrn, url)
        assert.deepInclude(yield* Effect.flip(askHilltop(context, url)), { kind: "forbidden" }, url)
      }
      assert.strictEqual(asked, 2)
    })
  )

  it.effect("keeps its rules beside another client of the same process", () =>
    Effect.gen(function* () {
      const gsrn = gsrnOf(2)
      const server = yield* standIn((_, response) => response.end(answerAbout(gsrn)))
      const settings = ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ADAPTER_URL: server.byName }))
      const context = yield* Layer.build(
        Layer.fresh(Outside).pipe(Layer.provideMerge(NodeHttpClient.layerUndici), Layer.provide(settings))
      )
      assert.strictEqual((yield* Context.get(context, AdapterClient).fetch(gsrn, 0)).gsrn, gsrn)
      assert.deepInclude(yield* Effect.flip(askHilltop(context, server.byName)), { kind: "forbidden" })
      const { status } = yield* Effect.scoped(Context.get(context, HttpClient.HttpClient).get(server.byName))
      assert.strictEqual(status, 200)
    })
  )

  it.effect("lets a Hilltop server have a private name where that is allowed", () =>
    Effect.gen(function* () {
      const server = yield* standIn((_, response) => response.end("<HilltopServer/>"))
      const context = yield* outsideOf({ CRAWL_ALLOW_PRIVATE: "true" })
      assert.strictEqual((yield* askHilltop(context, server.byName)).bytes.length, 16)
    })
  )

  it.effect("has no more requests at the adapter at once than ADAPTER_CONCURRENCY and 16 for lookups", () =>
    Effect.gen(function* () {
      const gsrn = gsrnOf(3)
      const held: Array<() => void> = []
      let arrived = 0
      let most = 0
      const server = yield* standIn((_, response) => {
        held.push(() => response.end(answerAbout(gsrn)))
        arrived++
        most = Math.max(most, held.length)
        // As many as may come have come: one goes and makes room for the next, the last ones go together.
        if (held.length >= 20) held.shift()?.()
        if (arrived === 100) for (const answer of held) answer()
      })
      const context = yield* outsideOf({ ADAPTER_URL: server.byName, ADAPTER_CONCURRENCY: "4" })
      const answers = yield* Effect.replicateEffect(Context.get(context, AdapterClient).fetch(gsrn, 0), 100, {
        concurrency: "unbounded"
      })
      assert.strictEqual(answers.length, 100)
      assert.strictEqual(most, 20)
    })
  )
})
