/** Metrics in Prometheus's text format, read strictly: one that a scraper would refuse fails. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+]?(?:[0-9.]+(?:e[-+]?[0-9]+)?|Inf)|NaN)$/
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy

export const samplesIn = (text: string): ReadonlyArray<Sample> => {
  if (!text.endsWith("\n")) throw new Error("the last line has no end")
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const match = sample.exec(line)
      if (match === null) throw new Error(`not a sample: ${line}`)
      const [, name = "", labels = "", value = ""] = match
      const read = [...labels.matchAll(label)]
      if (read.map(([all]) => all).join("") !== labels) throw new Error(`not labels: ${line}`)
      return {
        name,
        labels: Object.fromEntries(read.map(([, key = "", text = ""]) => [key, text])),
        value: Number(value.replace("Inf", "Infinity"))
      }
    })
}

/** Types by family, as the text declares them; a family that is declared twice, or not before its samples, fails. */
export const typesIn = (text: string): ReadonlyMap<string, string> => {
  const types = new Map<string, string>()
  for (const line of text.split("\n")) {
    const [, name = "", type = ""] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (name === "") continue
    if (types.has(name)) throw new Error(`declared twice: ${name}`)
    types.set(name, type)
  }
  return types
}
