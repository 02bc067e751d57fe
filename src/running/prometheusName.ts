/** The name of a metric in Prometheus's form, as OpenTelemetry's rules make it: unit and kind are told by the end of the name. */

const unitSuffixes: Readonly<Record<string, string>> = { s: "seconds", ms: "milliseconds", By: "bytes", "1": "ratio" }

export const labelName = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, "_")

/** Units in braces are words for people and end no name; a share is told as such where it goes up and down. */
export const unitOf = (unit: string | undefined, isCounter: boolean): string | undefined =>
  unit === undefined || (unit === "1" && isCounter) ? undefined : unitSuffixes[unit]

/** Without the `_total` of a counter's samples. */
export const familyName = (name: string, unit: string | undefined): string => {
  const plain = labelName(name)
  return unit === undefined || plain.endsWith(`_${unit}`) ? plain : `${plain}_${unit}`
}
