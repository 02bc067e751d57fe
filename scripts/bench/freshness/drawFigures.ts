/** The pictures of docs/freshness.md, as SVG, by Observable Plot in a small DOM. */
import * as Plot from "@observablehq/plot"
import { parseHTML } from "linkedom"
import { over, rates, type Row, type RuleName, ruleNames } from "./Comparison.ts"
import { classes } from "./CouncilSeries.ts"

const labels: Readonly<Record<RuleName, string>> = {
  original: "original",
  before: "before the policy",
  policy: "policy",
  clairvoyant: "clairvoyant"
}
const color = {
  domain: ruleNames.map((name) => labels[name]),
  range: ["#9a6324", "#4363d8", "#3cb44b", "#777777"],
  legend: false
}
const frame = { style: { fontFamily: "sans-serif", background: "white" }, width: 720, marginLeft: 70 }
const text = (plot: { readonly outerHTML: string }) =>
  plot.outerHTML.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')

/** By file name. */
export const drawFigures = (rows: ReadonlyArray<Row>): ReadonlyMap<string, string> => {
  const { document } = parseHTML("<!doctype html><html><body></body></html>")
  const delays = rates.flatMap((rate) =>
    ruleNames.flatMap((rule) => {
      const { half, mean } = over(rows, rate, rule, (row) => row.mean)
      return mean > 0.05
        ? [{ rate, rule: labels[rule], mean, low: Math.max(0.05, mean - half), high: mean + half }]
        : []
    })
  )
  const byRate = Plot.plot({
    ...frame,
    document,
    height: 380,
    title: undefined,
    x: { type: "log", label: "requests a series and day", ticks: [...rates], tickFormat: String },
    y: { type: "log", label: "minutes from availability to capture, mean by value", grid: true, tickFormat: String },
    color,
    marks: [
      Plot.line(delays, { x: "rate", y: "mean", stroke: "rule" }),
      Plot.ruleX(delays, { x: "rate", y1: "low", y2: "high", stroke: "rule", strokeWidth: 3, strokeOpacity: 0.4 }),
      Plot.dot(delays, { x: "rate", y: "mean", fill: "rule", r: 4 }),
      Plot.text(
        delays.filter(({ rate }) => rate === rates.at(-1)),
        { x: "rate", y: "mean", text: "rule", dx: 8, dy: -9, textAnchor: "start", fill: "rule" }
      )
    ]
  } as Plot.PlotOptions)
  const ofClasses = (["before", "policy"] as const).flatMap((rule) =>
    classes.flatMap((name, index) => {
      const { mean } = over(rows, rates[0], rule, (row) => row.byClass[index]!)
      return mean > 0 ? [{ rule: labels[rule], name, mean }] : []
    })
  )
  const byClass = Plot.plot({
    ...frame,
    document,
    height: 380,
    marginLeft: 110,
    x: { type: "log", label: "minutes, at 59 requests a series and day", grid: true, tickFormat: String },
    y: { label: null, domain: [...classes] },
    color,
    marks: [
      Plot.ruleY(
        classes.flatMap((name) => {
          const [a, b] = ofClasses.filter((one) => one.name === name)
          return a === undefined || b === undefined ? [] : [{ name, a: a.mean, b: b.mean }]
        }),
        { y: "name", x1: "a", x2: "b", stroke: "#bbb" }
      ),
      Plot.dot(ofClasses, { x: "mean", y: "name", fill: "rule", r: 5 }),
      Plot.text(
        ofClasses.filter(({ name }) => name === classes[0]),
        { x: "mean", y: "name", text: "rule", dy: -12, fill: "rule" }
      )
    ]
  } as Plot.PlotOptions)
  return new Map([
    ["delay-by-rate.svg", text(byRate)],
    ["delay-by-class.svg", text(byClass)]
  ])
}
