/** Which section is shown, with what is chosen there, in the fragment of the address: it can be kept and sent. */
import { makeCell } from "../live/Cell.ts"
import { type Section, sections } from "./sections.ts"

export interface Route {
  readonly section: Section
  readonly query: Readonly<Record<string, string>>
}

const read = (): Route => {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?")
  return {
    section: sections.find((section) => section === path) ?? "glance",
    query: Object.fromEntries(new URLSearchParams(query))
  }
}

export const addressOf = (section: Section, query: Readonly<Record<string, string | undefined>> = {}): string => {
  const given = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? "") !== "")
  const text = new URLSearchParams(given).toString()
  return `#/${section === "glance" ? "" : section}${text === "" ? "" : `?${text}`}`
}

export const route = makeCell<Route>({ section: "glance", query: {} })

/** Changes what is chosen in a section, without an entry in the history for each letter typed. */
export const choose = (changes: Readonly<Record<string, string | undefined>>): void => {
  const { query, section } = route.get()
  history.replaceState(null, "", addressOf(section, { ...query, ...changes }))
  route.set(read())
}

export const followAddress = (): void => {
  addEventListener("hashchange", () => route.set(read()))
  route.set(read())
}
