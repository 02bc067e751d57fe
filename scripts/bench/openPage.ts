/**
 * The page in a real browser, from a service that only answers: how soon something is painted and the figures are there, how many bytes
 * come over the wire, and what it costs for a minute while nobody touches it. Where no Chromium is, this is left out.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { HttpClient } from "effect/http"
import { type Browser, chromium } from "playwright-core"
import { chromiumPath } from "../pictures/chromiumPath.ts"
import { BenchFailed } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { startService } from "./ServiceProcess.ts"

const readKey = "read-key-of-the-page-bench-1"
/** Of a minute, in seconds. */
const idle = 60

interface Watched<E, R> {
  readonly url: string
  /** The database forgets what its statements took so far. */
  readonly forget: Effect.Effect<unknown, E, R>
  /** What they took since, in milliseconds. */
  readonly spent: Effect.Effect<number, E, R>
  /** The yardstick. */
  readonly empty: Effect.Effect<number, E, R>
}

/** Seconds of a processor that the service took so far, as it says itself. */
const cpuSeconds = (origin: string) =>
  HttpClient.get(`${origin}/metrics`).pipe(
    Effect.flatMap((response) => response.text),
    Effect.flatMap((text) => {
      const found = [...text.matchAll(/^process_cpu_time_seconds_total(?:\{[^}]*\})? ([0-9.e+-]+)/gm)]
      return found.length === 0
        ? Effect.fail(new BenchFailed({ message: "the service does not say what processor time it took" }))
        : Effect.succeed(found.reduce((sum, match) => sum + Number(match[1]), 0))
    }),
    Effect.provide(NodeHttpClient.layerUndici)
  )

interface Painted {
  readonly painted: number
  readonly figures: number
  readonly bytes: number
}

/** In a browser context of its own, so that nothing is cached. */
const open = (browser: Browser, origin: string) =>
  Effect.acquireRelease(
    Effect.promise(() => browser.newContext()),
    (context) => Effect.promise(() => context.close())
  ).pipe(
    Effect.flatMap((context) =>
      Effect.promise(async () => {
        const page = await context.newPage()
        const session = await context.newCDPSession(page)
        let bytes = 0
        await session.send("Network.enable")
        session.on("Network.loadingFinished", ({ encodedDataLength }) => void (bytes += encodedDataLength))
        await page.goto(`${origin}/#read=${readKey}`)
        await page.locator("[data-flow]").first().waitFor()
        const figures = await page.evaluate<number>("performance.now()")
        const painted = await page.evaluate<number>(
          `performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? performance.now()`
        )
        return { page, painted: { painted, figures, bytes } satisfies Painted }
      })
    )
  )

export const measureOpenPage = Effect.fnUntraced(function* <E, R>({ empty, forget, spent, url }: Watched<E, R>) {
  if (chromiumPath === undefined) {
    yield* Console.error("  no Chromium is installed: the page itself is not measured")
    return []
  }
  const executablePath = chromiumPath
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() => chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] })),
    (opened) => Effect.promise(() => opened.close())
  )
  // A browser's own first page takes long, whoever serves it.
  yield* Effect.promise(async () => (await browser.newPage()).goto("data:text/html,<p>begun"))
  const { origin } = yield* startService({
    DATABASE_URL: url,
    PENSTOCK_ROLES: "api",
    READ_API_KEYS: `bench:${readKey}`
  })
  const paints: Array<Painted> = []
  for (let round = 0; round < 6; round++) {
    paints.push(yield* Effect.scoped(Effect.map(open(browser, origin), ({ painted }) => painted)))
  }
  /** Shares of a core, in per cent: of the service, and of the database by its statements. */
  const costOf = Effect.gen(function* () {
    const before = yield* cpuSeconds(origin)
    yield* forget
    yield* Effect.sleep(idle * 1_000)
    return { service: ((yield* cpuSeconds(origin)) - before) / (idle / 100), database: (yield* spent) / (idle * 10) }
  })
  const alone = yield* costOf
  const watched = yield* Effect.scoped(
    Effect.andThen(open(browser, origin), Effect.andThen(Effect.sleep("5 seconds"), costOf))
  )
  const yardstick = yield* empty
  const figureOf = (name: string, unit: string, figures: ReadonlyArray<number>, bound?: number): Figure => ({
    name,
    yardstick: "an empty statement, in ms",
    unit,
    better: "lower",
    targets: bound === undefined ? [] : [{ of: "figure", bound }],
    rounds: figures.map((figure) => ({ figure, yardstick }))
  })
  const share = (name: string, of: "service" | "database"): Figure => ({
    name,
    yardstick: "a minute without it",
    unit: "%",
    better: "lower",
    targets: [{ of: "figure", bound: 1 }],
    rounds: [{ figure: Math.max(0, watched[of] - alone[of]), yardstick: alone[of] }]
  })
  const later = paints.slice(1)
  return [
    figureOf("first paint of the page, as the service has just begun", "ms", [paints[0]!.painted], 1_000),
    figureOf(
      "first paint of the page",
      "ms",
      later.map(({ painted }) => painted),
      1_000
    ),
    figureOf("the page with its figures, as the service has just begun", "ms", [paints[0]!.figures], 1_000),
    figureOf(
      "the page with its figures",
      "ms",
      later.map(({ figures }) => figures),
      1_000
    ),
    figureOf(
      "the page on the wire",
      "kB",
      later.map(({ bytes }) => bytes / 1_000),
      200
    ),
    share("an open page costs the service, of a core", "service"),
    share("an open page costs the database, of a core", "database")
  ]
})
