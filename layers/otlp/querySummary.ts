/**
 * What a statement does to which tables, in a few words by which its span is called: `UPDATE flex.accounting_point_sync`.
 *
 * It reads our own statements, whose keywords are upper-case and whose tables are not; where one writes, what it reads besides
 * is left out.
 */
const mostKnown = 1_000
/** As the conventions bound it. */
const longest = 255
const known = new Map<string, string | undefined>()

const summarise = (text: string): string | undefined => {
  const writes = text.matchAll(/(?<!\b(?:FOR|KEY|DO) )\b(INSERT INTO|UPDATE|DELETE FROM) ([a-z_][a-z_.0-9]*)/g)
  const written = [...new Set([...writes].map(([, verb = "", table = ""]) => `${verb.split(" ")[0]} ${table}`))]
  if (written.length > 0) return written.join(" ").slice(0, longest)
  const items = new Set(
    [...text.matchAll(/([a-z_]+)(?: \([^()]*\))? AS (?:NOT )?(?:MATERIALIZED )?\(/g)].map(([, item]) => item)
  )
  const read = [...text.matchAll(/\b(?:FROM|JOIN) ([a-z_][a-z_.0-9]*)(?![a-z_.0-9(])/g)].map(([, table]) => table)
  const table = read.find((name) => !items.has(name))
  const verb = /^\s*(?:WITH\b[\s\S]*?\b)?([A-Z]+)\b/.exec(text)?.[1]
  if (verb === undefined) return undefined
  return (table === undefined ? verb : `SELECT ${table}`).slice(0, longest)
}

/** None for what is no statement of ours. */
export const querySummary = (text: string): string | undefined => {
  if (known.has(text)) return known.get(text)
  const summary = summarise(text)
  if (known.size < mostKnown) known.set(text, summary)
  return summary
}
