/**
 * What is measured, as Prometheus reads it: its text format 0.0.4, or OpenMetrics 1.0 where that is asked for.
 *
 * A gauge that is no number is not known at the moment, and not shown.
 */
import type { Metric } from "effect"
import { familyName, labelName, unitOf } from "../running/prometheusName.ts"

export type ExpositionFormat = "openmetrics" | "text"

export const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  text: "text/plain; version=0.0.4; charset=utf-8"
}

/** OpenMetrics only where a client prefers it to plain text: whoever takes anything gets what every tool reads. */
export const formatFor = (accept: string | undefined): ExpositionFormat => {
  const quality = (wanted: RegExp) =>
    Math.max(
      0,
      ...(accept ?? "").split(",").map((range) => {
        const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase())
        const parameter = (name: string) =>
          parameters.find((part) => part.startsWith(`${name}=`))?.slice(name.length + 1)
        const version = parameter("version") ?? "1.0.0"
        if (!wanted.test(type) || (type.includes("openmetrics") && !version.startsWith("1."))) return 0
        const q = Number(parameter("q") ?? 1)
        return Number.isFinite(q) ? q : 0
      })
    )
  const asked = quality(/^application\/openmetrics-text$/)
  return asked > 0 && asked >= quality(/^text\/(?:plain|\*)$/) ? "openmetrics" : "text"
}

const escaped = (text: string, more: boolean) => {
  const plain = text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")
  return more ? plain.replace(/"/g, '\\"') : plain
}

const numberText = (value: number | bigint): string =>
  value === Number.POSITIVE_INFINITY ? "+Inf" : value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)

/** A boundary is a floating-point number in OpenMetrics, and told as one. */
const boundaryText = (value: number, format: ExpositionFormat) =>
  format === "openmetrics" && Number.isInteger(value) && value < 1e15 ? `${value}.0` : numberText(value)

type Attributes = Readonly<Record<string, string>>

const labelsOf = (attributes: Attributes | undefined, ...more: ReadonlyArray<readonly [string, string]>): string => {
  const all = [...Object.entries(attributes ?? {}).filter(([name]) => name !== "unit"), ...more]
  return all.length === 0
    ? ""
    : `{${all.map(([name, value]) => `${labelName(name)}="${escaped(value, true)}"`).join(",")}}`
}

const kinds = {
  Counter: "counter",
  Gauge: "gauge",
  Histogram: "histogram",
  Summary: "summary",
  Frequency: "counter"
} as const

const samplesOf = (name: string, metric: Metric.Metric.Snapshot, format: ExpositionFormat): ReadonlyArray<string> => {
  const { attributes } = metric
  switch (metric.type) {
    case "Counter":
      return [`${name}_total${labelsOf(attributes)} ${numberText(metric.state.count)}`]
    case "Gauge":
      return Number.isNaN(metric.state.value)
        ? []
        : [`${name}${labelsOf(attributes)} ${numberText(metric.state.value)}`]
    case "Frequency":
      return [...metric.state.occurrences].map(
        ([key, count]) => `${name}_total${labelsOf(attributes, ["key", key])} ${count}`
      )
    case "Histogram":
    case "Summary": {
      const parts =
        metric.type === "Histogram"
          ? [
              ...metric.state.buckets
                .filter(([boundary]) => boundary !== Number.POSITIVE_INFINITY)
                .map(
                  ([boundary, count]) =>
                    `${name}_bucket${labelsOf(attributes, ["le", boundaryText(boundary, format)])} ${count}`
                ),
              `${name}_bucket${labelsOf(attributes, ["le", "+Inf"])} ${metric.state.count}`
            ]
          : metric.state.quantiles.flatMap(([quantile, value]) =>
              value === undefined ? [] : [`${name}${labelsOf(attributes, ["quantile", String(quantile)])} ${value}`]
            )
      const { count, sum } = metric.state
      return [
        ...parts,
        `${name}_sum${labelsOf(attributes)} ${numberText(sum)}`,
        `${name}_count${labelsOf(attributes)} ${count}`
      ]
    }
  }
}

/** The whole answer. */
export const metricsText = (snapshot: ReadonlyArray<Metric.Metric.Snapshot>, format: ExpositionFormat): string => {
  const families = Map.groupBy(snapshot, ({ attributes, id, type }) => {
    const kind = kinds[type]
    return `${familyName(id, unitOf(attributes?.["unit"], kind === "counter"))} ${kind}`
  })
  const lines = [...families].flatMap(([key, metrics]) => {
    const [name = "", kind = ""] = key.split(" ")
    const [first] = metrics
    const samples = metrics.flatMap((metric) => samplesOf(name, metric, format))
    if (first === undefined || samples.length === 0) return []
    const unit = unitOf(first.attributes?.["unit"], kind === "counter")
    const told = format === "text" && kind === "counter" ? `${name}_total` : name
    return [
      ...(first.description === undefined
        ? []
        : [`# HELP ${told} ${escaped(first.description, format === "openmetrics")}`]),
      `# TYPE ${told} ${kind}`,
      ...(format === "openmetrics" && unit !== undefined ? [`# UNIT ${told} ${unit}`] : []),
      ...samples
    ]
  })
  if (format === "openmetrics") lines.push("# EOF")
  return lines.map((line) => `${line}\n`).join("")
}
