/** What the page shows is what the database has, and what its buttons do is done there. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Locator, Page } from "playwright-core"
import { HilltopSimulator } from "../../scripts/simulators/HilltopSimulator.ts"
import { isAccessible, worksByKeyboard } from "./access.ts"
import { glanceAgrees, hilltopAgrees, pointsAgree, seriesAgree, sitesAgree, streamsAgree } from "./sectionNumbers.ts"
import { allKeys, keys, PageWorld, until } from "./PageWorld.ts"
import { rowsOf } from "./shown.ts"
import { ChosenSeries, preparedWorld } from "./PreparedWorld.ts"
import { untilTrue } from "./untilTrue.ts"
import { watchedPage } from "./WatchedPage.ts"
import { withBrowser } from "./withBrowser.ts"

const minutes = 60_000

const opened = Effect.fnUntraced(function* (section: string, options: { readonly isReader?: boolean } = {}) {
  const { url } = yield* PageWorld
  const watched = yield* watchedPage({
    url,
    keys: allKeys,
    viewport: { width: 1280, height: 1000 },
    acceptDownloads: true
  })
  const admin = options.isReader ? "" : `&admin=${keys.admin}`
  yield* Effect.promise(async () => {
    await watched.page.goto(`${url}/#read=${keys.read}${admin}`)
    await watched.page.locator("[data-flow]").first().waitFor()
    await watched.page.evaluate(`location.hash = ${JSON.stringify(`#/${section}`)}`)
    await watched.page.locator("main h2").waitFor()
  })
  return watched
})

const numberIn = (text: string): number => Number(text.replaceAll(/[^0-9.]/g, ""))

/** The number of a figure, by its label, which may be found by a part. */
const figure = async (within: Page | Locator, label: string): Promise<number> =>
  numberIn(await within.locator("dl > div").filter({ hasText: label }).locator("dd").first().innerText())

const nzst = (at: Date): string =>
  new Date(at.getTime() + 12 * 3_600_000)
    .toISOString()
    .replace(/\.000Z$|Z$/, "")
    .replace("T", " ")
const tableOf = (page: Page, name: string): Locator => page.getByRole("table", { name, exact: true })

const one = <A extends object>(statement: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<A>, unknown>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    statement(sql).pipe(
      Effect.orDie,
      Effect.map(([row]) => row as A)
    )
  )

const count = (
  statement: (sql: SqlClient.SqlClient) => Effect.Effect<ReadonlyArray<{ readonly count: number }>, unknown>
) => Effect.map(one(statement), (row) => row.count)

withBrowser("the sections of the page", () => {
  layer(preparedWorld, { excludeTestServices: true, timeout: "180 seconds" })("the page", (it) => {
    for (const [colorScheme, width] of [
      ["light", 1280],
      ["dark", 390]
    ] as const) {
      it.effect(
        `has no violation that axe knows of, ${colorScheme} and ${width} pixels wide, and does not scroll sideways`,
        () => isAccessible(colorScheme, width),
        4 * minutes
      )
    }

    it.effect(
      "tells at a glance how each flow does, and why",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("")
          yield* glanceAgrees(page)
          yield* Effect.promise(async () => {
            const points = page.locator("[data-flow=accounting_points]")
            assert.strictEqual(await points.getAttribute("data-colour"), "amber")
            assert.match(
              await points.locator(".sentence").innerText(),
              /^2 of 12 accounting points fail \(2 unavailable\)\.$/
            )
            const streams = page.locator("[data-flow=streams]")
            assert.strictEqual(await streams.getAttribute("data-colour"), "amber")
            assert.match(await streams.locator(".sentence").innerText(), /could not be used/)
            const hilltop = page.locator("[data-flow=hilltop]")
            assert.strictEqual(await hilltop.getAttribute("data-colour"), "amber")
          })
        }),
      2 * minutes
    )

    it.effect(
      "shows sites on a map and in a list, and the values of a series as they are and as they were known",
      () =>
        Effect.gen(function* () {
          const { corrected, id, siteId, siteName } = yield* ChosenSeries
          const { page } = yield* opened("observations")
          const located = yield* count(
            (sql) =>
              sql`SELECT count(*)::int4 AS count FROM observation_sites WHERE easting IS NOT NULL OR latitude IS NOT NULL`
          )
          const sites = yield* count((sql) => sql`SELECT count(*)::int4 AS count FROM observation_sites`)
          yield* Effect.promise(async () => {
            await page.getByText(`${sites} sites, ${located} with a place`).waitFor()
            assert.strictEqual(await page.locator(".map circle").count(), located)
            assert.strictEqual(await page.getByRole("list", { name: "Sites" }).getByRole("listitem").count(), sites)
          })
          yield* sitesAgree(page)
          yield* Effect.promise(async () => {
            await page.getByLabel("Name").fill(siteName.slice(0, -1))
            await page.getByRole("button", { name: siteName }).click()
          })
          yield* seriesAgree(page, siteId, siteName)
          yield* Effect.promise(async () => {
            await page.evaluate(`location.hash = "#/observations?site=${siteId}&series=${id}"`)
            await page.locator(".picture canvas").waitFor()
            await page.getByText(/[1-9][0-9]* gaps?, hatched/).waitFor()
            await page.getByText("1 censored").waitFor()
            await page.getByText("1 corrected").waitFor()
          })

          // The last week, as the page shows it first.
          const kept = yield* Effect.flatMap(
            SqlClient.SqlClient,
            (sql) => sql<{ at: Date; text: string; quality: string; seen: Date }>`
            SELECT o.observed_at AS at, coalesce(o.qualifier, '') || o.value AS text, coalesce(o.quality::text, '–') AS quality, o.first_seen_at AS seen FROM observations o, observation_sites_measurements m
            WHERE m.id = o.series_id AND o.series_id = ${id} AND o.superseded_at IS NULL
              AND o.observed_at >= m.last_observed_at + interval '1 second' - interval '7 days' ORDER BY o.observed_at`
          )
          yield* Effect.promise(async () => {
            const values = page.getByRole("table", { name: /^Values of/ }).locator("tbody tr")
            await page.getByText(`${kept.length.toLocaleString("en")} values in this part`).waitFor()
            const shown: Array<ReadonlyArray<string>> = []
            for (;;) {
              await values.first().waitFor()
              const name = (await page.getByRole("table", { name: /^Values of/ }).getAttribute("aria-label")) ?? ""
              shown.push(...(await rowsOf(page, name)).map((row) => Object.values(row)))
              const further = page.getByRole("button", { name: "Later values" })
              if ((await further.count()) === 0 || (await further.isDisabled())) break
              const before = await values.first().innerText()
              await further.click()
              await untilTrue(
                page,
                `document.querySelector("table[aria-label^='Values of'] tbody tr")?.innerText !== ${JSON.stringify(before)}`
              )
            }
            assert.deepStrictEqual(
              shown,
              kept.map(({ at, quality, seen, text }) => [nzst(at), text, quality, seen.toISOString()])
            )
            assert.include(shown.flat(), "1234.50600000000000001")

            // At its left end the slider is before the correction.
            await page.getByLabel("As it was known").press("Home")
            await page.getByText("1 corrected").waitFor({ state: "detached" })
            await untilTrue(
              page,
              `!document.querySelector("table[aria-label^='Values of']").innerText.includes("1234.506")`
            )
            await page.getByRole("button", { name: "Now", exact: true }).click()
            await page.getByText("1 corrected").waitFor()

            await page.getByText("Corrections", { exact: true }).click()
            const versions = page.getByRole("table", { name: "Corrections" }).locator("tbody tr")
            await versions.first().waitFor()
            const texts = await versions.allInnerTexts()
            assert.strictEqual(texts.filter((text) => text.includes(nzst(corrected))).length, 2)

            const saved = page.waitForEvent("download")
            await page.getByRole("button", { name: "CSV" }).click()
            const download = await saved
            assert.match(download.suggestedFilename(), /\.csv$/)
            const pieces: Array<Buffer> = []
            for await (const piece of await download.createReadStream()) pieces.push(piece as Buffer)
            const lines = Buffer.concat(pieces).toString().trim().split(/\r?\n/)
            assert.strictEqual(lines.length, kept.length + 1)
          })
        }),
      3 * minutes
    )

    it.effect(
      "shows how fresh accounting points are, and how one of them stands",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("points")
          yield* pointsAgree(page)
          const { gsrn, version } = yield* one<{ gsrn: string; version: number }>(
            (sql) => sql`
              SELECT a.business_id AS gsrn, s.version::int4 AS version FROM flex.accounting_point a
              JOIN flex.accounting_point_sync s ON s.accounting_point_id = a.id ORDER BY a.id LIMIT 1`
          )
          yield* Effect.promise(async () => {
            assert.include(
              await page.getByRole("region", { name: "Adapter", exact: true }).innerText(),
              "asked as usual"
            )
            await page.getByLabel("GSRN").fill(gsrn)
            await page.keyboard.press("Enter")
            const card = page.getByRole("region", { name: "One accounting point" })
            await card.getByText("last synced").waitFor()
            assert.strictEqual(await figure(card, "version"), version)
          })
        }),
      2 * minutes
    )

    it.effect(
      "shows servers and sources, and finds tasks by state, kind and name",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("hilltop")
          yield* hilltopAgrees(page)
          const failing = yield* count(
            (sql) =>
              sql`SELECT count(*)::int4 AS count FROM hilltop_fetch_tasks WHERE attempts > 0 AND unavailable_since IS NULL AND set_aside_at IS NULL`
          )
          const lists = yield* count(
            (sql) =>
              sql`SELECT count(*)::int4 AS count FROM hilltop_fetch_tasks WHERE request_type = 'MEASUREMENTS_LIST'`
          )
          const { siteName } = yield* ChosenSeries
          yield* Effect.promise(async () => {
            const rows = tableOf(page, "Tasks").locator("tbody tr")
            const finds = async (expected: number) => {
              await untilTrue(
                page,
                `document.querySelectorAll("table[aria-label=Tasks] tbody tr").length === ${expected} && document.querySelector("[aria-busy=true]") === null`
              )
            }
            await page.getByLabel("State").selectOption("failing")
            await finds(failing)
            assert.match(await rows.first().innerText(), /failing\s*3 ×/)
            await page.getByLabel("State").selectOption("set_aside")
            await finds(3)
            assert.match(await rows.first().innerText(), /lost/)
            await page.getByLabel("State").selectOption("")
            await page.getByLabel("Kind").selectOption("MEASUREMENTS_LIST")
            await finds(lists)
            await page.getByLabel("Site or measurement").fill(siteName.toUpperCase())
            await finds(1)
            assert.include(await rows.first().innerText(), siteName)
            assert.match(page.url(), /name=/)
          })
        }),
      2 * minutes
    )

    it.effect(
      "shows a task with its last runs, and runs it or re-drives it when an admin says so",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("hilltop?status=set_aside")
          const { id } = yield* one<{ id: number }>(
            (sql) =>
              sql`SELECT id::int4 AS id FROM hilltop_fetch_tasks WHERE set_aside_reason = 'lost' ORDER BY id LIMIT 1`
          )
          yield* Effect.promise(async () => {
            await page.evaluate(`location.hash = "#/hilltop?status=set_aside&task=${id}"`)
            const dialog = page.getByRole("dialog", { name: `Task ${id}` })
            await dialog.getByText("lost by its workers").waitFor()
            await dialog.getByRole("button", { name: "Re-drive" }).click()
            await dialog.getByText("Re-driven").waitFor()
          })
          yield* until(
            "the task is re-driven",
            (sql) => sql`SELECT set_aside_at IS NULL AS yes FROM hilltop_fetch_tasks WHERE id = ${id}`
          )
          const failing = yield* one<{ id: number; runs: number }>(
            (sql) =>
              sql`SELECT id::int4 AS id, jsonb_array_length(previous_history) AS runs FROM hilltop_fetch_tasks WHERE attempts = 3 ORDER BY id LIMIT 1`
          )
          yield* Effect.promise(async () => {
            await page.keyboard.press("Escape")
            // The dialog is hidden a moment before the page takes its task out of the address.
            await page.waitForURL(({ hash }) => !hash.includes("task="))
            await page.evaluate(`location.hash = "#/hilltop?task=${failing.id}"`)
            const dialog = page.getByRole("dialog", { name: `Task ${failing.id}` })
            await dialog.getByRole("table", { name: "Runs" }).waitFor()
            assert.strictEqual(
              await dialog.getByRole("table", { name: "Runs" }).locator("tbody tr").count(),
              failing.runs
            )
            await dialog.getByRole("button", { name: "Run now" }).click()
            await dialog.getByText("It is due now").waitFor()
          })
          yield* until(
            "the task was run",
            (sql) =>
              sql`SELECT attempts = 0 AND jsonb_array_length(previous_history) = ${failing.runs + 1} AS yes FROM hilltop_fetch_tasks WHERE id = ${failing.id}`
          )
          yield* Effect.promise(async () => {
            await page.keyboard.press("Escape")
            await page.getByRole("dialog").waitFor({ state: "hidden" })
            await page.getByRole("button", { name: "Re-drive all" }).click()
            await page.getByText("2 tasks re-driven.").waitFor()
          })
          yield* until(
            "no task is lost any more",
            (sql) =>
              sql`SELECT count(*) = 0 AS yes FROM hilltop_fetch_tasks WHERE set_aside_reason = 'lost' AND set_aside_at IS NOT NULL`
          )
        }),
      2 * minutes
    )

    it.effect(
      "pauses and resumes a source, and adds one after it has tried it",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("hilltop")
          const world = yield* HilltopSimulator
          const paused = (yes: boolean) =>
            until(
              `the source is ${yes ? "paused" : "resumed"}`,
              (sql) => sql`SELECT paused = ${yes} AS yes FROM hilltop_sources WHERE id = 1`
            )
          yield* Effect.promise(() => page.getByRole("button", { name: "Pause source 1" }).click())
          yield* paused(true)
          yield* Effect.promise(() => page.getByRole("button", { name: "Resume source 1" }).click())
          yield* paused(false)

          const address = world.sources[0]?.htsUrl ?? ""
          const [name = ""] = world.sources[0]?.measurementNames ?? []
          const listed = world.sites(world.sources[0]?.councilId ?? 0).length
          yield* Effect.promise(async () => {
            await page.getByRole("button", { name: "Add a source" }).click()
            const dialog = page.getByRole("dialog", { name: "Add a source" })
            await dialog.getByLabel("Council").fill("77")
            await dialog.getByLabel("Address of the Hilltop file").fill("http://127.0.0.1:1/none.hts")
            await dialog.getByLabel("Measurements").fill(name)
            await dialog.getByRole("button", { name: "Try it" }).click()
            await dialog.getByText("It does not answer").waitFor()
            await dialog.getByLabel("Address of the Hilltop file").fill(address)
            // One try in two seconds.
            await page.waitForTimeout(2_100)
            await dialog.getByRole("button", { name: "Try it" }).click()
            const found = dialog.getByText(/answers, [0-9]+ sites/)
            await found.waitFor()
            assert.isAtMost(numberIn(/answers, ([0-9]+) sites/.exec(await found.innerText())?.[1] ?? ""), listed)
            await dialog.getByRole("button", { name: "Save" }).click()
            await dialog.getByText("Saved as source 2").waitFor()
            await dialog.getByRole("button", { name: "Done" }).click()
          })
          const added = yield* one<{ address: string; names: string }>(
            (sql) =>
              sql`SELECT hts_url AS address, configuration ->> 'measurementNames' AS names FROM hilltop_sources WHERE council_id = 77`
          )
          assert.deepStrictEqual(added, { address, names: JSON.stringify([name]) })
          yield* Effect.promise(() => page.getByRole("button", { name: "Pause source 2" }).click())
        }),
      2 * minutes
    )

    it.effect(
      "shows no actions without an admin key",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("hilltop", { isReader: true })
          yield* Effect.promise(async () => {
            await tableOf(page, "Sources").waitFor()
            for (const name of [/Pause/, /Resume/, /Add a source/, /Re-drive/]) {
              assert.strictEqual(await page.getByRole("button", { name }).count(), 0)
            }
          })
        }),
      2 * minutes
    )

    it.effect(
      "shows who reads which topic and what could not be used, and re-drives it",
      () =>
        Effect.gen(function* () {
          const { page } = yield* opened("streams")
          const { topic, offset } = yield* one<{ topic: string; offset: number }>(
            (sql) =>
              sql`SELECT topic, "offset"::int4 AS offset FROM topic_records WHERE topic LIKE '%dead_letters' ORDER BY "offset" LIMIT 1`
          )
          yield* streamsAgree(page)
          yield* Effect.promise(async () => {
            const letters = tableOf(page, "Dead letters of hilltop_raw").locator("tbody tr")
            assert.strictEqual(await letters.count(), 1)
            await letters
              .first()
              .getByRole("button", { name: String(offset) })
              .click()
            const dialog = page.getByRole("dialog", { name: "Dead letter" })
            await dialog.getByText("neither JSON nor anything else").waitFor()
            await dialog.getByRole("button", { name: "Re-drive" }).click()
            await dialog.getByText("Sent to hilltop_raw again.").waitFor()
          })
          // Nothing was mended, so it is set aside again.
          yield* until(
            "the record came and was set aside again",
            (sql) => sql`SELECT count(*) = 2 AS yes FROM topic_records WHERE topic = ${topic}`
          )
        }),
      2 * minutes
    )

    it.effect("can be used by keyboard alone", () => worksByKeyboard, 4 * minutes)
  })
})
