/** `penstock doctor adapter` against an adapter that keeps the contract, and against some that do not. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import { AdapterSimulator } from "../../scripts/simulators/AdapterSimulator.ts"
import { type Environment, jsonLines, runCommand } from "../support/runCommand.ts"
import { standIn } from "../support/standIn.ts"

const services = Layer.mergeAll(
  AdapterSimulator.layer({ points: 20, seed: 5 }),
  NodeServices.layer,
  Layer.succeed(References.MinimumLogLevel, "Error")
)

layer(services, { excludeTestServices: true })("penstock doctor adapter", (it) => {
  const examine = Effect.fnUntraced(function* (env: Environment, gsrn: string) {
    const { code, err, out } = yield* runCommand(env, "doctor", "adapter", "--json", "--gsrn", gsrn)
    return { code, err, out, of: new Map(jsonLines(out).map(({ check, ...rest }) => [check, rest])) }
  })

  it.effect("finds nothing wrong with one that keeps the contract", () =>
    Effect.gen(function* () {
      const { apiKey, point, url } = yield* AdapterSimulator
      const { gsrn } = yield* point(0)
      const { code, err, of, out } = yield* examine({ ADAPTER_URL: url, ADAPTER_API_KEY: apiKey }, gsrn)
      assert.deepStrictEqual([code, err], [0, ""], out)
      assert.deepStrictEqual(
        [...of.keys()],
        [
          "known",
          "body",
          "speed",
          "time with an offset",
          "earlier time",
          "unknown",
          "misspelt",
          "without a key",
          "wrong key"
        ]
      )
      for (const { state } of of.values()) assert.strictEqual(state, "ok", out)
    })
  )

  it.effect("names what each does wrong, by fields and never by values", () =>
    Effect.gen(function* () {
      const { apiKey, faults, point, url } = yield* AdapterSimulator
      const { gsrn } = yield* point(0)
      const settings = { ADAPTER_URL: url, ADAPTER_API_KEY: apiKey }
      yield* faults.set({ points: { [gsrn]: { fault: "overlapping_rows" } } })
      const overlapping = yield* examine(settings, gsrn)
      assert.match(String(overlapping.of.get("body")?.["found"]), /^periods of \w+ overlap$/)
      yield* faults.set({ points: { [gsrn]: { fault: "malformed_value" } } })
      const malformed = yield* examine(settings, gsrn)
      assert.deepInclude(malformed.of.get("body"), { state: "failed" })
      yield* faults.set({})
      assert.deepStrictEqual([overlapping.code, malformed.code], [1, 1])
      assert.match(overlapping.err, /must be mended before the adapter keeps the contract\.$/m)
      assert.notMatch(malformed.out + overlapping.out, /\d{11}/)

      // Lets everybody in, knows everything, and says it with a text.
      const body = JSON.stringify({ gsrn, end_user: [{ business_id: "12" }], energy_supplier: [] })
      const careless = yield* standIn((_, response) => {
        response.writeHead(200, { "content-type": "text/plain" }).end(body)
      })
      const { code, of } = yield* examine({ ADAPTER_URL: careless.url, ADAPTER_API_KEY: "key" }, gsrn)
      assert.strictEqual(code, 1)
      const found = String(of.get("body")?.["found"])
      for (const field of ["end_user[0].business_id", "end_user[0].valid_from", "metering_grid_area"]) {
        assert.include(found, field)
      }
      assert.deepInclude(of.get("content type"), { state: "warning", found: "is text/plain" })
      for (const check of ["unknown", "misspelt", "without a key", "wrong key"]) {
        assert.deepInclude(of.get(check), { state: "failed" }, check)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("says of a key that is refused that it is the key, and nothing else", () =>
    Effect.gen(function* () {
      const { point, url } = yield* AdapterSimulator
      const { gsrn } = yield* point(0)
      const wrong = yield* examine({ ADAPTER_URL: url, ADAPTER_API_KEY: "another-key" }, gsrn)
      const none = yield* examine({ ADAPTER_URL: url }, gsrn)
      assert.deepStrictEqual(
        [...wrong.of, ...none.of].map(([check, { found }]) => [check, found]),
        [
          ["known", "the adapter refuses ADAPTER_API_KEY (401)"],
          ["known", "ADAPTER_API_KEY is not set"]
        ]
      )
      assert.deepStrictEqual([wrong.code, none.code], [1, 1])
    })
  )

  it.effect("takes a GSRN alone, and does not repeat what was typed instead", () =>
    Effect.gen(function* () {
      const { code, err } = yield* runCommand({}, "doctor", "adapter", "--gsrn", "01010112345")
      assert.deepStrictEqual(
        [code, err],
        [2, "--gsrn must be a GSRN: 18 digits, the first not 0, the last its check digit\n"]
      )
    })
  )
})
