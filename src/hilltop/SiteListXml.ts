/**
 * Reads a SiteList: `HilltopServer` with `Agency`, `Version`, `Projection` and a `Site` for every name.
 *
 * Coordinates that cannot be read are as good as none: a site without a location is still a site. A name that cannot be read is
 * nobody's, and would only become a second site.
 */
import { Result, type Types } from "effect"
import type { DocumentReader } from "./DocumentReader.ts"
import type { Site, SiteList, SiteLocation } from "./HilltopDocument.ts"
import { isSpoilt } from "./HilltopText.ts"

const coordinate = (text: string | undefined): number | undefined =>
  text !== undefined && /^[+-]?\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined

const locationOf = (leaves: ReadonlyMap<string, string>): SiteLocation | null => {
  const easting = coordinate(leaves.get("Easting"))
  const northing = coordinate(leaves.get("Northing"))
  if (easting !== undefined && northing !== undefined) return { easting, northing }
  const latitude = coordinate(leaves.get("Latitude"))
  const longitude = coordinate(leaves.get("Longitude"))
  return latitude !== undefined && longitude !== undefined ? { latitude, longitude } : null
}

export const siteListReader = (): DocumentReader<SiteList> => {
  const sites: Array<Site> = []
  const list: Types.Mutable<SiteList> = { sites, unnamed: 0 }
  let name: string | undefined
  let leaves = new Map<string, string>()
  let otherKind = false
  let problem: string | undefined

  return {
    open: (element, attributes, depth) => {
      if (depth !== 2) return
      if (element === "DataSource") otherKind = true
      if (element !== "Site") return
      name = attributes["Name"]
      leaves = new Map()
      if (name === undefined) problem ??= "a Site without a Name"
    },
    leaf: (element, text, depth) => {
      if (depth === 3) leaves.set(element, text)
      if (depth !== 2 || text === "") return
      if (element === "Agency") list.agency = text
      else if (element === "Version") list.version = text
      else if (element === "Projection") list.projection = text
    },
    close: (element, depth) => {
      if (depth !== 2 || element !== "Site") return
      if (!name) list.unnamed++
      else if (isSpoilt(name)) list.spoilt = (list.spoilt ?? 0) + 1
      else sites.push({ name, location: locationOf(leaves) })
    },
    finish: () => {
      if (problem !== undefined) return Result.fail(problem)
      if (sites.length > 0 || list.spoilt !== undefined) return Result.succeed(list)
      if (otherKind) return Result.fail("a list of measurements where a list of sites was asked for")
      return list.agency === undefined ? Result.fail("neither an Agency nor a Site in it") : Result.succeed(list)
    }
  }
}
