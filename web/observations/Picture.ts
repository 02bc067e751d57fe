/** A series over time: the range of its values at each place, with gaps, and marks where values are censored or were corrected. */
import { useEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import type { Plot } from "../asking/shapes.ts"
import { html } from "../parts/html.ts"
import { drawGaps, drawMarks } from "./pictureMarks.ts"
import { describePlot, rowText } from "./plotWords.ts"
import type { Span } from "./span.ts"

const height = 320
const dark = matchMedia("(prefers-color-scheme: dark)")

const colours = () => {
  const style = getComputedStyle(document.documentElement)
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return { line: of("chart-1"), band: of("chart-band"), ink: of("ink-soft"), grid: of("line") }
}

/** Least seconds between two labels, and how they are written: the day below the hour, the year below the day. */
const timeLabels: uPlot.Axis.Values = [
  [31_536_000, "{YYYY}", null, null, null, null, null, null, 1],
  [2_419_200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86_400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1]
]

const optionsFor = (
  plot: Plot,
  width: number,
  told: (row: number | null) => void,
  choose: (span: Span) => void
): uPlot.Options => {
  const { band, grid, ink, line } = colours()
  const axis = {
    stroke: ink,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid },
    font: "12px system-ui, sans-serif"
  }
  const oneByOne = !plot.thinned && plot.values < width / 8
  return {
    width,
    height,
    legend: { show: false },
    // Hilltop's times carry no daylight saving: the clock of the axis does not either.
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/GMT-12"),
    cursor: { drag: { x: true, y: false, setScale: false } },
    scales: {
      x: {
        time: true,
        ...(plot.from === null || plot.to === null
          ? {}
          : { min: Date.parse(plot.from) / 1000, max: Date.parse(plot.to) / 1000 })
      }
    },
    axes: [
      { ...axis, values: timeLabels },
      { ...axis, size: 60, label: plot.series.units ?? "", labelFont: "12px system-ui, sans-serif" }
    ],
    series: [
      {},
      { stroke: line, width: 1.5, points: { show: oneByOne, size: 5, fill: line } },
      { stroke: line, width: plot.thinned ? 1.5 : 0, points: { show: false } }
    ],
    bands: plot.thinned ? [{ series: [2, 1], fill: band }] : [],
    hooks: {
      drawAxes: [(chart) => drawGaps(chart, plot)],
      draw: [(chart) => drawMarks(chart, plot)],
      setCursor: [({ cursor }) => told(cursor.idx ?? null)],
      setSelect: [
        (chart) => {
          if (chart.select.width < 8) return
          const at = (pixels: number) => Math.round(chart.posToVal(pixels, "x") * 1000)
          choose({ from: at(chart.select.left), to: at(chart.select.left + chart.select.width) })
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        }
      ]
    }
  }
}

export interface PictureProps {
  readonly plot: Plot
  readonly title: string
  /** What was drawn over with the pointer is looked at nearer. */
  readonly choose: (span: Span) => void
}

export const Picture = ({ choose, plot, title }: PictureProps) => {
  const place = useRef<HTMLDivElement>(null)
  const words = useRef<HTMLParagraphElement>(null)
  useEffect(() => {
    const box = place.current
    if (box === null) return undefined
    const told = (row: number | null) => {
      if (words.current !== null) words.current.textContent = row === null ? "\u00a0" : rowText(plot, row)
    }
    const draw = () =>
      new uPlot(optionsFor(plot, box.clientWidth, told, choose), [[...plot.t], [...plot.min], [...plot.max]], box)
    let chart = draw()
    const redraw = () => {
      chart.destroy()
      chart = draw()
    }
    const watch = new ResizeObserver(() => {
      if (box.clientWidth > 0 && box.clientWidth !== chart.width) chart.setSize({ width: box.clientWidth, height })
    })
    watch.observe(box)
    dark.addEventListener("change", redraw)
    return () => {
      watch.disconnect()
      dark.removeEventListener("change", redraw)
      chart.destroy()
    }
  }, [plot])
  return html`
    <div class="picture" ref=${place} role="img" aria-label=${describePlot(plot, title)}></div>
    <p ref=${words} class="small soft number">${"\u00a0"}</p>
  `
}
