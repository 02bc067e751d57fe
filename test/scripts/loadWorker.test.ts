/** The worker that makes load for benchmarks: whose time counts, so that a server that stops looks as slow as it is. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { startWorker } from "../../scripts/bench/BenchWorker.ts"
import { loadWorker } from "../../scripts/bench/LoadOrder.ts"
import { standIn } from "../support/standIn.ts"

layer(NodeServices.layer, { excludeTestServices: true })("load at a given rate", (it) => {
  it.effect("counts each request that was due, also those that are answered when the time is over", () =>
    Effect.gen(function* () {
      const held: Array<ServerResponse> = []
      // Nobody is answered before all have come, so the first one waits for as long as the load lasts.
      const server = yield* standIn((_, response) => {
        held.push(response)
        if (held.length === 50) for (const each of held) each.writeHead(200).end("{}")
      })
      const load = yield* startWorker(loadWorker)
      const answer = yield* load({
        origin: server.url,
        method: "GET",
        path: "/",
        headers: {},
        connections: 50,
        warmUpSeconds: 0,
        seconds: 1,
        rate: 50
      })
      assert.deepStrictEqual([answer.answers, answer.answered, answer.faults], [50, 50, 0])
      assert.isAtLeast(answer.p99, 900)
    }).pipe(Effect.scoped)
  )
})
