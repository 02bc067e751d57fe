/** The sections of the page, in the order in which they are shown. */

export const sections = ["glance", "points", "hilltop", "observations", "streams"] as const
export type Section = (typeof sections)[number]

export const sectionNames: Readonly<Record<Section, string>> = {
  glance: "At a glance",
  points: "Accounting points",
  hilltop: "Hilltop",
  observations: "Observations",
  streams: "Streams"
}
