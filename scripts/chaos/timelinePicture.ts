/**
 * A run as a picture: when which fault went on and how long it took until all was back, above what became of the lookups of each
 * second.
 */
import * as Plot from "@observablehq/plot"
import { parseHTML } from "linkedom"
import { faultNamed } from "./allFaults.ts"
import type { Asked } from "./ChaosLedger.ts"
import { type PastFault, textOf } from "./chaosReport.ts"
import { backWithin } from "./recovery.ts"

const rooms = ["process", "PostgreSQL", "Kafka", "source", "network"] as const
const outcomes = ["served", "refused", "come again", "no answer"] as const
type Outcome = (typeof outcomes)[number]

const outcomeOf = ({ status }: Asked): Outcome => {
  if (status === undefined) return "no answer"
  return status < 400 ? "served" : status < 500 ? "refused" : "come again"
}

const frame = { style: { fontFamily: "sans-serif", background: "white" }, width: 1_200, marginLeft: 90 }

/** Seconds; a fault that happens at once can be seen as well. */
const thinnest = 0.4

const faultRows = (faults: ReadonlyArray<PastFault>) =>
  faults.map((fault) => {
    const from = fault.at / 1_000
    const to = from + Math.max(thinnest, fault.lasted / 1_000)
    const back = fault.recovery === undefined ? 0 : (fault.recovery.millis ?? backWithin) / 1_000
    const isLate = fault.recovery !== undefined && (fault.recovery.millis ?? Infinity) > backWithin
    return {
      room: faultNamed(fault.kind).room,
      text: textOf(fault),
      kind: fault.kind,
      from,
      to,
      back: to + back,
      isLate
    }
  })

const perSecond = (asked: ReadonlyArray<Asked>, startedAt: number) => {
  const lookups = asked.filter(({ kind }) => kind === "lookup")
  const groups = Map.groupBy(lookups, (one) => `${Math.floor((one.at - startedAt) / 1_000)} ${outcomeOf(one)}`)
  return [...groups].map(([key, list]) => {
    const [second = "0"] = key.split(" ")
    return { second: Number(second), outcome: outcomeOf(list[0]!), count: list.length }
  })
}

/** SVG. */
export const timelinePicture = (
  faults: ReadonlyArray<PastFault>,
  asked: ReadonlyArray<Asked>,
  startedAt: number
): string => {
  const { document } = parseHTML("<!doctype html><html><body></body></html>")
  const rows = faultRows(faults)
  const counts = perSecond(asked, startedAt)
  const end = Math.max(1, ...rows.map(({ back }) => back), ...counts.map(({ second }) => second + 1))
  const x = { domain: [0, end], label: "seconds" }
  const [above, below] = [40 + 34 * rooms.length, 190]
  const happened = Plot.plot({
    ...frame,
    document,
    height: above,
    x: { ...x, axis: "top" },
    y: { domain: [...rooms], label: null },
    marks: [
      Plot.barX(rows, { x1: "to", x2: "back", y: "room", fill: "#f4c68a", insetTop: 10, insetBottom: 10 }),
      Plot.barX(rows, {
        x1: "from",
        x2: "to",
        y: "room",
        fill: (row: (typeof rows)[number]) => (row.isLate ? "#d62728" : "#4363d8"),
        insetTop: 4,
        insetBottom: 4,
        title: "text"
      })
    ]
  } as Plot.PlotOptions)
  const served = Plot.plot({
    ...frame,
    document,
    height: below,
    x,
    y: { label: "lookups a second", grid: true },
    color: { domain: [...outcomes], range: ["#3cb44b", "#9a6324", "#ffb000", "#d62728"] },
    marks: [
      Plot.rectY(
        counts,
        Plot.stackY(
          { order: [...outcomes] },
          { x1: "second", x2: ({ second }: { second: number }) => second + 1, y: "count", fill: "outcome", inset: 0 }
        )
      )
    ]
  } as Plot.PlotOptions)
  const at = (plot: { readonly outerHTML: string }, y: number) => plot.outerHTML.replace("<svg ", `<svg y="${y}" `)
  const legend = outcomes
    .map((outcome, i) => {
      const color = ["#3cb44b", "#9a6324", "#ffb000", "#d62728"][i]
      return `<rect x="${90 + 130 * i}" y="${above + below + 4}" width="12" height="12" fill="${color}"/><text x="${108 + 130 * i}" y="${above + below + 14}">${outcome}</text>`
    })
    .join("")
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${frame.width}" height="${above + below + 24}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    at(happened, 0),
    at(served, above),
    legend,
    "</svg>"
  ].join("\n")
}
