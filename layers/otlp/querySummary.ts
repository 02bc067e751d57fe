/**
 * What a statement does to which tables, in a few words by which its span is called: `UPDATE flex.accounting_point_sync`.
 *
 * It reads our own statements, whose keywords are upper-case and whose tables are not; where one writes, what it reads besides
 * is left out.
 */
const mostKnown = 1_000
/** Of a statement that writes to more tables, the first and the last are named. */
const mostNamed = 3
const known = new Map<string, string | undefined>()

const summarise = (text: string): string | undefined => {
  const writes = text.matchAll(/(?<!\b(?:FOR|KEY|DO) )\b(INSERT INTO|UPDATE|DELETE FROM) "?([a-z_][a-z_.0-9]*)/g)
  const written = [...new Set([...writes].map(([, verb = "", table = ""]) => `${verb.split(" ")[0]} ${table}`))]
  if (written.length > mostNamed) return `${written[0]} … ${written.at(-1)}`
  if (written.length > 0) return written.join(" ")
  const items = new Set(
    [...text.matchAll(/([a-z_]+)(?: \([^()]*\))? AS (?:NOT )?(?:MATERIALIZED )?\(/g)].map(([, item]) => item)
  )
  const read = [
    ...text.matchAll(/(?<!\b(?:DISTINCT|epoch) )\b(?:FROM|JOIN) "?([a-z_][a-z_.0-9]*)(?![a-z_.0-9(])/g)
  ].map(([, table]) => table)
  const table = read.find((name) => !items.has(name))
  const verb = /^\s*([A-Z]+)\b/.exec(text)?.[1]
  return table === undefined ? verb : `SELECT ${table}`
}

/** None for what is no statement of ours. */
export const querySummary = (text: string): string | undefined => {
  if (known.has(text)) return known.get(text)
  const summary = summarise(text)
  if (known.size < mostKnown) known.set(text, summary)
  return summary
}
