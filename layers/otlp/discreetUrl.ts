/**
 * An address that was asked, fit for a trace: without credentials, and with `REDACTED` for what may be a key or a number.
 *
 * Of queries only what Hilltop servers and the adapter are asked with is kept; whatever else stands in the address of a source
 * may be a key. A part of a path that has 9 digits or more names an accounting point or a person.
 */
const redacted = "REDACTED"

/** In lower case. */
const known: ReadonlySet<string> = new Set([
  "service",
  "request",
  "site",
  "measurement",
  "collection",
  "location",
  "from",
  "to",
  "timeinterval",
  "datatype",
  "interval",
  "alignment",
  "method",
  "showfinal",
  "tstype",
  "target",
  "valid_from",
  "valid_to"
])

const discreetPath = (path: string): string => path.replaceAll(/[^/]*\d{9}[^/]*/g, redacted)

/** A query that is kept as it was written, but for the values. */
const discreetQuery = (query: string): string =>
  query.replaceAll(/([^?&=]+)=([^&]*)/g, (pair, name: string, value: string) =>
    known.has(name.toLowerCase()) || value === "" ? pair : `${name}=${redacted}`
  )

export const discreetUrl = (address: string): string => {
  if (!URL.canParse(address)) return redacted
  const { origin, pathname, search } = new URL(address)
  return origin + discreetPath(pathname) + discreetQuery(search)
}
