/** Clients that would rather speak HTTP/2, as Java's does by default, are answered by the simulators as anybody else. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { request } from "node:http"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"

const upgrade = { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAEAAEAAAAIAAAABAAMAAABk" }

/** The status of what is answered to a request that asks for an upgrade. */
const statusOf = (url: string, headers: Readonly<Record<string, string>> = {}) =>
  Effect.callback<number | undefined, Error>((resume) => {
    const asked = request(url, { headers: { ...upgrade, ...headers } }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode))
    })
    asked.on("error", (error) => resume(Effect.fail(error)))
    asked.end()
    return Effect.sync(() => asked.destroy())
  })

it.live("the Hilltop simulator answers a request that asks for an upgrade", () =>
  Effect.gen(function* () {
    const simulator = yield* HilltopSimulator
    const [source] = simulator.sources
    assert.strictEqual(yield* statusOf(`${source?.htsUrl}?Service=Hilltop&Request=SiteList`), 200)
  }).pipe(Effect.provide(HilltopSimulator.layer({ sites: 5, councils: 1 })))
)

it.live("the adapter simulator answers a request that asks for an upgrade", () =>
  Effect.gen(function* () {
    const simulator = yield* AdapterSimulator
    const { gsrn } = yield* simulator.point(0)
    const url = `${simulator.url}/accounting_point/${gsrn}?valid_from=2026-01-01T00:00:00Z`
    assert.strictEqual(yield* statusOf(url, { authorization: `Bearer ${simulator.apiKey}` }), 200)
  }).pipe(Effect.provide(AdapterSimulator.layer({ points: 5 })))
)
