/** What a picture says besides its line: gaps, hatched; censored values and corrections, each with a mark of its own form. */
import type uPlot from "uplot"
import type { Plot } from "../asking/shapes.ts"

const colourOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

const inside = (chart: uPlot, draw: (context: CanvasRenderingContext2D) => void): void => {
  const { ctx } = chart
  ctx.save()
  ctx.beginPath()
  ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height)
  ctx.clip()
  draw(ctx)
  ctx.restore()
}

/** Between the values on both sides of a row without any. */
export const drawGaps = (chart: uPlot, plot: Plot): void =>
  inside(chart, (context) => {
    const { height, top } = chart.bbox
    context.strokeStyle = colourOf("line-strong")
    context.globalAlpha = 0.35
    plot.n.forEach((values, row) => {
      const [before, after] = [plot.t[row - 1], plot.t[row + 1]]
      if (values > 0 || before === undefined || after === undefined) return
      const [left, right] = [chart.valToPos(before, "x", true), chart.valToPos(after, "x", true)]
      context.save()
      context.beginPath()
      context.rect(left, top, right - left, height)
      context.clip()
      context.beginPath()
      for (let x = left - height; x < right; x += 9) {
        context.moveTo(x, top + height)
        context.lineTo(x + height, top)
      }
      context.stroke()
      context.restore()
    })
  })

/** A triangle that points to where the truth is unknown; a square around what was corrected. */
export const drawMarks = (chart: uPlot, plot: Plot): void =>
  inside(chart, (context) => {
    const size = 4 * devicePixelRatio
    context.strokeStyle = colourOf("chart-2")
    context.fillStyle = colourOf("paper")
    context.lineWidth = 1.5 * devicePixelRatio
    plot.t.forEach((t, row) => {
      const [value, isCensored, isCorrected] = [
        plot.max[row],
        (plot.censored[row] ?? 0) > 0,
        (plot.corrected[row] ?? 0) > 0
      ]
      if (value == null || (!isCensored && !isCorrected)) return
      const [x, y] = [chart.valToPos(t, "x", true), chart.valToPos(value, "y", true)]
      context.beginPath()
      if (isCensored) {
        context.moveTo(x - size, y - size)
        context.lineTo(x + size, y - size)
        context.lineTo(x, y + size)
        context.closePath()
      }
      if (isCorrected) context.rect(x - size, y - size, 2 * size, 2 * size)
      context.fill()
      context.stroke()
    })
  })
