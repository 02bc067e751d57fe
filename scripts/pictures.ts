#!/usr/bin/env node
/**
 * Draws the pictures of the page in `docs/pictures`, and with a directory as its argument many more into that, to look at: light and
 * dark, wide and narrow, empty, with few sites and many, and on fire.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { ConfigProvider, Console, Effect, Layer, References } from "effect"
import { SqlClient } from "effect/sql"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { chromium } from "playwright-core"
import { freePort } from "../layers/embedded/freePort.ts"
import { Main } from "../layers/Main.ts"
import { demoSettings, makeKeys } from "./demo/DemoSettings.ts"
import { addSources, registerUnits, untilReady } from "./demo/DemoTraffic.ts"
import { chromiumPath } from "./pictures/chromiumPath.ts"
import { addSites, setOnFire, until } from "./pictures/PictureWorld.ts"
import { type PictureOrder, takePicture } from "./pictures/takePicture.ts"
import { AdapterSimulator } from "./simulators/AdapterSimulator.ts"
import { HilltopSimulator } from "./simulators/HilltopSimulator.ts"

const committed = "docs/pictures"
const elsewhere = process.argv[2]

const simulators = Layer.merge(
  AdapterSimulator.layer({ points: 600, seed: 7 }),
  HilltopSimulator.layer({ seed: 7, sites: 1, historyDays: 60 })
)

/** Wide and narrow, one of them in the dark. */
const both = (
  order: Omit<PictureOrder, "scheme" | "width">,
  wide: "light" | "dark" = "light"
): ReadonlyArray<PictureOrder> => [
  { ...order, name: `${order.name}-wide-${wide}`, scheme: wide, width: 1200 },
  { ...order, name: `${order.name}-narrow`, scheme: wide === "light" ? "dark" : "light", width: 390 }
]

/** The series with most values: its picture is the one to show. */
const longestSeries = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ id: number; site: number }>`
    SELECT id, site_id AS site FROM observation_sites_measurements ORDER BY observation_count DESC, id LIMIT 1`
  return `observations?site=${row?.site ?? 1}&series=${row?.id ?? 1}`
})

const draw = Effect.gen(function* () {
  const keys = makeKeys()
  const adapter = yield* AdapterSimulator
  const port = yield* freePort
  const url = `http://127.0.0.1:${port}`
  const data = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(`${tmpdir()}/penstock-pictures-`)),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  const browser = yield* Effect.acquireRelease(
    Effect.promise(() =>
      chromium.launch({
        ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
        args: ["--no-sandbox"]
      })
    ),
    (opened) => Effect.promise(() => opened.close())
  )
  const take = (directory: string, orders: ReadonlyArray<PictureOrder>) =>
    Effect.forEach(
      orders,
      (order) =>
        Effect.andThen(
          takePicture(browser, { url, keys, directory }, order),
          Console.log(`${directory}/${order.name}.png`)
        ),
      { discard: true }
    )
  const look = (orders: ReadonlyArray<PictureOrder>) =>
    elsewhere === undefined ? Effect.void : take(elsewhere, orders)
  for (const directory of [committed, ...(elsewhere === undefined ? [] : [elsewhere])]) {
    yield* Effect.sync(() => mkdirSync(directory, { recursive: true }))
  }

  const run = Effect.gen(function* () {
    yield* untilReady(url)
    yield* look([
      ...both({ name: "empty-glance", section: "" }),
      ...both({ name: "empty-observations", section: "observations" })
    ])

    // On a busy machine an answer of the adapter may come too late for its deadline.
    yield* registerUnits(url, keys).pipe(Effect.retry({ times: 2 }), Effect.ignore)
    yield* addSources(url, keys)
    yield* until((sql) => sql`SELECT count(*) >= 3 AS yes FROM observation_sites`)
    yield* until(
      (sql) => sql`
      SELECT count(*) > 20 AND count(*) FILTER (WHERE next_fetch_at <= now() AND set_aside_at IS NULL) = 0 AS yes FROM hilltop_fetch_tasks`
    )
    yield* Effect.sleep("6 seconds")
    const series = yield* longestSeries
    const shows = ".picture canvas"
    yield* look([
      ...both({ name: "few-glance", section: "" }),
      ...both({ name: "few-points", section: "points" }),
      ...both({ name: "few-hilltop", section: "hilltop" }),
      ...both({ name: "few-observations", section: series, shows }),
      ...both({ name: "few-streams", section: "streams" })
    ])
    yield* addSites(2_997)
    yield* look(both({ name: "many-observations", section: series, shows }))
    yield* take(committed, [
      { name: "observations", section: series, shows, scheme: "light", width: 1200, height: 1250 }
    ])

    yield* setOnFire
    yield* Effect.sleep("8 seconds")
    yield* look([
      ...both({ name: "fire-glance", section: "" }, "dark"),
      ...both({ name: "fire-points", section: "points" }, "dark"),
      ...both({ name: "fire-hilltop", section: "hilltop" }, "dark"),
      ...both({ name: "fire-streams", section: "streams" }, "dark")
    ])
    yield* take(committed, [
      { name: "on-fire", section: "", scheme: "light", width: 1100 },
      { name: "hilltop", section: "hilltop", scheme: "dark", width: 1200, height: 1100 },
      { name: "phone", section: "", scheme: "dark", width: 390, height: 844 }
    ])
  })
  const settings = ConfigProvider.layer(demoSettings({ data, port, keys, adapter }))
  yield* Effect.provide(run, Main.pipe(Layer.provide(settings)))
})

draw.pipe(
  Effect.scoped,
  Effect.provide(Layer.merge(simulators, NodeHttpClient.layerUndici)),
  Effect.provideService(References.MinimumLogLevel, "Error"),
  NodeRuntime.runMain
)
