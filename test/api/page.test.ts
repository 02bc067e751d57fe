/** The page as it is served: complete, small, kept by browsers, and unable to load or ask anything from elsewhere. */
import { assert, layer as suite } from "@effect/vitest"
import { Effect } from "effect"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { outline } from "../../scripts/outline.ts"
import { newZealand } from "../../web/observations/newZealand.ts"
import { ApiUnderTest, layer, requestOf } from "./ApiUnderTest.ts"

interface Served {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
}

const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
  Effect.flatMap(ApiUnderTest, ({ fetch }) =>
    Effect.promise(async (): Promise<Served> => {
      const response = await fetch(requestOf("http://penstock.test", path, { headers }))
      return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
    })
  )

/** The addresses in the document. */
const loaded = (document: string): ReadonlyArray<string> => [
  ...new Set([...document.matchAll(/(?:src|href)="(web\/[^"]+)"/g)].map(([, address = ""]) => `/${address}`))
]

suite(layer, { excludeTestServices: true })("the page", (it) => {
  it.effect("needs less than 200 kB on the wire, and is complete", () =>
    Effect.gen(function* () {
      const document = yield* get("/", { "accept-encoding": "gzip, br" })
      assert.strictEqual(document.status, 200)
      assert.strictEqual(document.headers.get("content-encoding"), "br")
      const files = loaded(brotliDecompressSync(document.bytes).toString())
      assert.isAbove(files.length, 30)
      let size = document.bytes.length
      for (const path of files) {
        const file = yield* get(path, { "accept-encoding": "br" })
        assert.strictEqual(file.status, 200, path)
        size += file.bytes.length
        const text = brotliDecompressSync(file.bytes).toString()
        // Every import leads to a file that is served.
        for (const [, specifier = ""] of text.matchAll(/\bfrom\s*["']([\w./-]+)["']/g)) {
          if (!path.endsWith(".ts") && !specifier.startsWith(".")) continue
          assert.include(files, new URL(specifier, `http://penstock.test${path}`).pathname, `${path}: ${specifier}`)
        }
      }
      assert.isBelow(size, 200_000)
    })
  )

  it.effect("is compressed as the browser can read it", () =>
    Effect.gen(function* () {
      const plain = yield* get("/")
      assert.isNull(plain.headers.get("content-encoding"))
      const gzip = yield* get("/", { "accept-encoding": "gzip" })
      assert.strictEqual(gunzipSync(gzip.bytes).toString(), plain.bytes.toString())
      const refused = yield* get("/", { "accept-encoding": "br;q=0, gzip;q=0" })
      assert.isNull(refused.headers.get("content-encoding"))
      assert.strictEqual(plain.headers.get("vary"), "accept-encoding")
    })
  )

  it.effect("is kept by browsers: its files for ever, the document until it changes", () =>
    Effect.gen(function* () {
      const document = yield* get("/")
      assert.strictEqual(document.headers.get("cache-control"), "no-cache")
      const etag = document.headers.get("etag") ?? ""
      const again = yield* get("/", { "if-none-match": `W/${etag}` })
      assert.strictEqual(again.status, 304)
      assert.strictEqual(again.bytes.length, 0)
      const [file = ""] = loaded(document.bytes.toString())
      assert.include((yield* get(file)).headers.get("cache-control"), "immutable")
      assert.strictEqual((yield* get(file.replace(/^\/web\/[^/]+/, "/web/another"))).status, 404)
      assert.strictEqual((yield* get("/web/../package.json")).status, 404)
    })
  )

  it.effect("runs and asks nothing that does not come from the service", () =>
    Effect.gen(function* () {
      const document = yield* get("/")
      const policy = document.headers.get("content-security-policy") ?? ""
      assert.include(policy, "default-src 'none'")
      assert.include(policy, "script-src 'self';")
      assert.include(policy, "style-src 'self';")
      assert.notInclude(policy, "unsafe")
      assert.strictEqual(document.headers.get("referrer-policy"), "no-referrer")
      assert.strictEqual(document.headers.get("x-content-type-options"), "nosniff")
      const text = document.bytes.toString()
      assert.notMatch(text, /<script(?![^>]*\bsrc=)/)
      assert.notMatch(text, /https?:\/\//)
    })
  )

  it("draws the outline that its package has", () => assert.include(outline(), newZealand))
})
