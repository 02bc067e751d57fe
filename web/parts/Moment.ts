/**
 * A moment, relative to now (`3 h ago`, `in 40 s`), with the absolute time on pointing at it; or the other way round, for the whole
 * page, as the reader likes.
 */
import { h } from "preact"
import { useEffect, useState } from "preact/hooks"
import { useCell, makeCell } from "../live/Cell.ts"
import { clockAhead } from "../live/live.ts"
import { html } from "./html.ts"
import { durationText } from "./numbers.ts"

export const showsAbsolute = makeCell(false)

/** Beats once a second while the page is seen. */
const beat = makeCell(0)
setInterval(() => {
  if (!document.hidden) beat.set(Date.now())
}, 1000)

/** The present by the service's clock, since its times are told. */
export const serviceNow = (): number => Date.now() + clockAhead.get()

const local = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short"
})
export const absoluteText = (at: number): string => local.format(at)

export const relativeText = (at: number, now: number): string => {
  const seconds = (at - now) / 1000
  return Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `in ${durationText(seconds)}` : `${durationText(-seconds)} ago`
}

/** Drawn anew only when its words change. */
const useRelative = (at: number): string => {
  const [text, setText] = useState(() => relativeText(at, serviceNow()))
  useEffect(() => {
    const renew = () => setText(relativeText(at, serviceNow()))
    renew()
    return beat.follow(renew)
  }, [at])
  return text
}

export const Moment = ({ at, none = "–" }: { readonly at: string | number | null; readonly none?: string }) => {
  const moment = at === null ? Number.NaN : typeof at === "number" ? at : Date.parse(at)
  const absolute = useCell(showsAbsolute)
  const relative = useRelative(moment)
  if (!Number.isFinite(moment)) return html`<span>${none}</span>`
  const exact = absoluteText(moment)
  // Not as a template, whose blanks would stand between the time and a full stop.
  return h(
    "time",
    { dateTime: new Date(moment).toISOString(), title: absolute ? relative : exact },
    absolute ? exact : relative
  )
}
