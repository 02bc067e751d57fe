/** Bodies as they come over the network: compressed, as CloudEvents in binary mode, and larger than they look. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { AccountingPointStore } from "../../src/sync/AccountingPointStore.ts"
import { gsrnOf } from "../support/gsrns.ts"
import { ApiUnderTest, keyOf, layer, problemIn } from "./ApiUnderTest.ts"

const post = (body: unknown, headers: Readonly<Record<string, string>> = {}, key = keyOf("event")) =>
  ApiUnderTest.use(({ ask }) => ask("/accounting_point/event", { method: "POST", key, body, headers }))
const received = { received: 1, recorded: 1, stale: 0, unknown: 0 }

it.layer(layer, { excludeTestServices: true })("a body", (it) => {
  const kept = Effect.fnUntraced(function* (index: number) {
    yield* AccountingPointStore.use((store) => store.ensure(gsrnOf(index)))
    return gsrnOf(index)
  })
  const eventAt = (gsrn: string, day: number) =>
    JSON.stringify({ gsrn, occurred_at: `2026-01-${String(day).padStart(2, "0")}T00:00:00Z` })

  it.effect("may be compressed with gzip, deflate or br, whichever route reads it", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(1)
      const ways = [
        ["gzip", gzipSync],
        ["X-GZIP", gzipSync],
        ["deflate", deflateSync],
        ["br", brotliCompressSync],
        ["identity", Buffer.from]
      ] as ReadonlyArray<readonly [string, (text: string) => Uint8Array<ArrayBuffer>]>
      for (const [i, [encoding, compress]] of ways.entries()) {
        const body = new Uint8Array(compress(`\uFEFF${eventAt(gsrn, i + 1)}`))
        const answered = yield* post(body, { "content-encoding": encoding })
        assert.deepStrictEqual([answered.status, answered.json], [200, received], encoding)
      }
      const unit = yield* ApiUnderTest.use(({ ask }) =>
        ask("/controllable_unit/00000000-0000-4000-8000-000000000001", {
          method: "PUT",
          key: keyOf("admin"),
          headers: { "content-encoding": "gzip" },
          body: new Uint8Array(gzipSync(JSON.stringify({ accounting_point: gsrn, name: "Boiler" })))
        })
      )
      assert.strictEqual(unit.status, 201)
    })
  )

  it.effect("is refused with 415 when its compression is none that is read, which are named", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(2)
      for (const encoding of ["zstd", "compress", "gzip, gzip", "nonsense"]) {
        const answered = yield* post(new Uint8Array(zstdCompressSync(eventAt(gsrn, 1))), {
          "content-encoding": encoding
        })
        assert.strictEqual(problemIn(answered).status, 415)
        assert.strictEqual(answered.headers.get("accept-encoding"), "gzip, deflate, br")
      }
    })
  )

  it.effect("is 413 when more than 1 MiB comes out of it, 400 when its compression is damaged", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(3)
      const large = " ".repeat(1_048_577 - eventAt(gsrn, 1).length)
      for (const compress of [gzipSync, deflateSync, brotliCompressSync]) {
        const encoding = compress === gzipSync ? "gzip" : compress === deflateSync ? "deflate" : "br"
        const bomb = new Uint8Array(compress(" ".repeat(5_000_000)))
        assert.strictEqual(problemIn(yield* post(bomb, { "content-encoding": encoding })).status, 413)
        const justTooLarge = new Uint8Array(compress(large + eventAt(gsrn, 1)))
        assert.strictEqual(problemIn(yield* post(justTooLarge, { "content-encoding": encoding })).status, 413)
        const fits = new Uint8Array(compress(large.slice(1) + eventAt(gsrn, 1)))
        assert.strictEqual((yield* post(fits, { "content-encoding": encoding })).status, 200)
      }
      const whole = gzipSync(eventAt(gsrn, 2))
      for (const damaged of [whole.subarray(0, -4), Buffer.from(eventAt(gsrn, 2)), Buffer.alloc(0)]) {
        const answered = yield* post(new Uint8Array(damaged), { "content-encoding": "gzip" })
        assert.strictEqual(problemIn(answered).status, 400)
      }
    })
  )

  it.effect("is not looked at before the key is", () =>
    Effect.gen(function* () {
      const bomb = new Uint8Array(gzipSync(" ".repeat(5_000_000)))
      assert.strictEqual(problemIn(yield* post(bomb, { "content-encoding": "gzip" }, "no-key")).status, 401)
    })
  )

  it.effect("may be anything where a CloudEvent has its attributes in headers", () =>
    Effect.gen(function* () {
      const gsrn = yield* kept(4)
      const attributes = (day: number) => ({
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/data%20hub",
        "ce-type": "no.example.accounting_point.changed",
        "ce-subject": gsrn,
        "ce-time": `2026-01-0${day}T00%3A00:00Z`
      })
      const bodies: ReadonlyArray<readonly [unknown, Readonly<Record<string, string>>]> = [
        ["{}", {}],
        ["<event/>", { "content-type": "application/xml" }],
        ["", {}],
        [new Uint8Array(gzipSync("{}")), { "content-encoding": "gzip" }]
      ]
      for (const [i, [body, headers]] of bodies.entries()) {
        const answered = yield* post(body, { ...attributes(i + 1), ...headers })
        assert.deepStrictEqual([answered.status, answered.json], [200, received])
      }
      const { "ce-time": _, ...timeless } = attributes(9)
      const missing = yield* post("{}", timeless)
      assert.match(problemIn(missing).detail, /^time: is missing$/)
      const wrong = yield* post("{}", { ...attributes(9), "ce-subject": "01010112345" })
      assert.match(problemIn(wrong).detail, /^subject: must be a GSRN/)
      assert.notInclude(wrong.text, "01010112345")
      const old = yield* post("{}", { ...attributes(9), "ce-specversion": "0.3" })
      assert.strictEqual(problemIn(old).status, 400)
      // The body is the event where the headers say so.
      const structured = {
        specversion: "1.0",
        id: "1",
        source: "/a",
        type: "b",
        subject: gsrn,
        time: "2026-01-20T00:00:00Z"
      }
      const answered = yield* post(structured, { ...attributes(9), "content-type": "application/cloudevents+json" })
      assert.deepStrictEqual(answered.json, received)
    })
  )
})
