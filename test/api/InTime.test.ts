/** Nobody waits for an answer for longer than the adapter may take and three and a half seconds. */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { AdapterClient } from "../../src/sync/AdapterClient.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { ApiUnderTest, keyOf, layerOver, problemIn } from "./ApiUnderTest.ts"

/** It has a deadline, and does not keep it. */
const deaf = Layer.succeed(
  AdapterClient,
  AdapterClient.of({ configured: true, deadline: 100, fetch: () => Effect.never })
)

it.layer(layerOver(deaf), { excludeTestServices: true })("a request that is not answered in time", (it) => {
  it.effect("is 503 and may be asked again, a lookup as well as any other", () =>
    Effect.gen(function* () {
      const { ask } = yield* ApiUnderTest
      const gsrn = gsrnOf(1)
      const question = { end_user: "123456785", accounting_point: gsrn }
      const unit = "/controllable_unit/a0000000-0000-4000-8000-000000000001"
      const requests = [
        ask("/controllable_unit/lookup", { key: keyOf("lookup"), body: question }),
        ask(unit, { method: "PUT", key: keyOf("admin"), body: { accounting_point: gsrn, name: "Unit" } })
      ]
      const [took, answers] = yield* Effect.timed(Effect.all(requests, { concurrency: "unbounded" }))
      for (const answer of answers) {
        assert.strictEqual(answer.status, 503)
        assert.strictEqual(answer.headers.get("retry-after"), "1")
        assert.strictEqual(problemIn(answer).type, "urn:penstock:problem:too-slow")
      }
      assert.isAtLeast(Duration.toMillis(took), 3_500)
    })
  )
})
