/**
 * Penstock through a client whose types come from its own description: `npm run generate` writes `penstock.d.ts` from
 * `/openapi.json` of a running service, `npm run check` tells what does not fit, and `npm start` calls it.
 *
 * `PENSTOCK_URL` says where it is; each scope has a key of its own: `LOOKUP_KEY`, `EVENT_KEY`, `READ_KEY`, `ADMIN_KEY`.
 */
import createClient from "openapi-fetch"
import type { components, paths } from "./penstock.d.ts"

const { PENSTOCK_URL: baseUrl = "http://127.0.0.1:8080", LOOKUP_KEY, EVENT_KEY, READ_KEY, ADMIN_KEY } = process.env
const clientWith = (key = "") => createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } })

/** The answer, or an end with what the problem says. */
const answered = <A>({ data, error, response }: { data?: A; error?: { detail: string }; response: Response }): A => {
  if (data === undefined) throw new Error(`${response.status}: ${error?.detail ?? "no answer"}`)
  return data
}

const gsrn = "707057500000000001"

// An operator registers a unit: only then may the data of its accounting point be kept.
const unit = answered(
  await clientWith(ADMIN_KEY).PUT("/controllable_unit/{business_id}", {
    params: { path: { business_id: "a0000000-0000-4000-8000-000000000001" } },
    body: { accounting_point: gsrn, name: "Heat pump", technical_resources: [{ name: "Compressor" }] }
  })
)

// A service provider asks for the units of an end user.
const lookup = answered(
  await clientWith(LOOKUP_KEY).POST("/controllable_unit/lookup", {
    body: { end_user: "410190", accounting_point: gsrn }
  })
)
const names = lookup.controllable_units.map(({ name }) => name)

// An adapter tells of a change.
const { received, unknown } = answered(
  await clientWith(EVENT_KEY).POST("/accounting_point/event", {
    body: [{ gsrn, occurred_at: "2026-01-01T00:00:00Z" }]
  })
)

// A reader reads the copy, and the sites of observations page by page.
const reader = clientWith(READ_KEY)
const copy = answered(await reader.GET("/accounting_point/{gsrn}", { params: { path: { gsrn } } }))
const sites: Array<components["schemas"]["ListedSite"]> = []
for (let cursor: number | undefined = 0; cursor !== undefined;) {
  const page: components["schemas"]["ListedSitePage"] = answered(
    await reader.GET("/observation/site", { params: { query: { limit: 100, cursor } } })
  )
  sites.push(...page.items)
  cursor = page.next_cursor === null ? undefined : Number(page.next_cursor)
}

// What does not work is told by a problem, whose form is known as well.
const { error, response } = await reader.GET("/observation/series/{id}", { params: { path: { id: 2_147_483_647 } } })

console.log(
  JSON.stringify({
    unit: unit.status,
    names,
    received,
    unknown,
    suppliers: copy.energy_supplier.length,
    sites: sites.length,
    series: [response.status, error?.title]
  })
)
