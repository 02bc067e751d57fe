/**
 * Metrics of the service by OpenTelemetry's conventions: a dotted name, a unit of UCUM, and labels of which there are few.
 *
 * The same metric goes out over OTLP under this name, and in Prometheus's form under the name that `prometheusName` makes of it. The
 * number of series of a metric is bounded here, whatever is counted: values beyond the bound are counted together, as `other`.
 */
import { Effect, Metric } from "effect"

export interface InstrumentOptions<L extends string> {
  /** As UCUM writes it: `s`, `By`, `1` for a share, `{call}` for a count of calls. */
  readonly unit: string
  readonly description: string
  readonly labels?: ReadonlyArray<L>
  /** The most series; of each label, values beyond it are `other`. */
  readonly most?: number
}

export type Labels<L extends string> = Readonly<Record<L, string>>

/** Methods and routes and statuses together may be some hundred. */
const mostSeries = 400
export const otherValue = "other"

/** One series for each combination of labels, made once: working out the key of one takes longer than counting. */
const seriesOf = <L extends string, M>(
  { labels = [], most = mostSeries }: InstrumentOptions<L>,
  make: (attributes: Record<string, string>) => M
) => {
  const known = new Map<string, M>()
  const valuesOf = (given: Labels<L>) => labels.map((label) => given[label])
  const get = (values: ReadonlyArray<string>): M | undefined => known.get(values.join("\u0000"))
  const add = (values: ReadonlyArray<string>): M => {
    const series = make(Object.fromEntries(labels.map((label, place) => [label, values[place] ?? ""])))
    known.set(values.join("\u0000"), series)
    return series
  }
  return (given: Labels<L>): M => {
    const values = valuesOf(given)
    const found = get(values)
    if (found !== undefined) return found
    if (known.size < most) return add(values)
    const others = values.map(() => otherValue)
    return get(others) ?? add(others)
  }
}

const optionsOf = <L extends string>({ description, unit }: InstrumentOptions<L>, labels: Record<string, string>) => ({
  description,
  attributes: { ...labels, unit }
})

const showing =
  <L extends string>(series: (labels: Labels<L>) => Metric.Metric<never, unknown>) =>
  (...labels: ReadonlyArray<Labels<L>>): Effect.Effect<void> =>
    Effect.suspend(() => Effect.forEach(labels, (each) => Metric.value(series(each)), { discard: true }))

/** All combinations of these values. */
export const combinations = <const A extends string, const B extends string>(
  [first, firstValues]: readonly [A, ReadonlyArray<string>],
  [second, secondValues]: readonly [B, ReadonlyArray<string>]
): ReadonlyArray<Labels<A | B>> =>
  firstValues.flatMap((one) => secondValues.map((other) => ({ [first]: one, [second]: other }) as Labels<A | B>))

/** What only grows; without labels `add(n)` is enough. */
export const counter = <const L extends string = never>(name: string, options: InstrumentOptions<L>) => {
  const series = seriesOf(options, (labels) =>
    Metric.counter(name, { ...optionsOf(options, labels), incremental: true })
  )
  return {
    add: (amount: number, labels = {} as Labels<L>): Effect.Effect<void> =>
      Effect.suspend(() => Metric.update(series(labels), amount)),
    /** Shows these series although nothing was counted yet: what grows from nothing is seen to grow. */
    show: showing(series),
    series
  }
}

/** What goes up and down. `undefined` is told where it is not known now: then the series is not shown. */
export const gauge = <const L extends string = never>(name: string, options: InstrumentOptions<L>) => {
  const series = seriesOf(options, (labels) => Metric.gauge(name, optionsOf(options, labels)))
  const shown = new Set<ReturnType<typeof series>>()
  const set = (value: number | undefined, labels = {} as Labels<L>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const one = series(labels)
      shown.add(one)
      return Metric.update(one, value ?? Number.NaN)
    })
  return {
    set,
    /** Shows these series and no other. */
    setAll: (values: ReadonlyArray<readonly [number | undefined, Labels<L>]>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const now = new Map(values.map(([value, labels]) => [series(labels), value]))
        const gone = [...shown].filter((one) => !now.has(one))
        for (const one of now.keys()) shown.add(one)
        return Effect.andThen(
          Effect.forEach(gone, (one) => Metric.update(one, Number.NaN), { discard: true }),
          Effect.forEach(now, ([one, value]) => Metric.update(one, value ?? Number.NaN), { discard: true })
        )
      })
  }
}

/** How values are distributed, in buckets up to each of `boundaries`. */
export const histogram = <const L extends string = never>(
  name: string,
  options: InstrumentOptions<L> & { readonly boundaries: ReadonlyArray<number> }
) => {
  const series = seriesOf(options, (labels) =>
    Metric.histogram(name, { ...optionsOf(options, labels), boundaries: options.boundaries })
  )
  return {
    record: (value: number, labels = {} as Labels<L>): Effect.Effect<void> =>
      Effect.suspend(() => Metric.update(series(labels), value)),
    /** Shows these series although nothing was recorded yet. */
    show: showing(series),
    series
  }
}

/** From a millisecond to 10 seconds, as OpenTelemetry recommends for requests. */
export const requestSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** From a tenth of a second to a day. */
export const delaySeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 6 * 3_600, 24 * 3_600]
