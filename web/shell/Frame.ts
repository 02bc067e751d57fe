/** The frame of the page: its header, what it has to say of itself, and the section that is shown. */
import type { ComponentType } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { Glance } from "../glance/Glance.ts"
import { HilltopSection } from "../hilltop/HilltopSection.ts"
import { overview } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { ObservationsSection } from "../observations/ObservationsSection.ts"
import { html } from "../parts/html.ts"
import { PointsSection } from "../points/PointsSection.ts"
import { session } from "../session/session.ts"
import { SignIn } from "../session/SignIn.ts"
import { StreamsSection } from "../streams/StreamsSection.ts"
import { Banner } from "./Banner.ts"
import { Header } from "./Header.ts"
import { route } from "./route.ts"
import { type Section, sectionNames } from "./sections.ts"

const views: Readonly<Record<Section, ComponentType>> = {
  glance: Glance,
  points: PointsSection,
  hilltop: HilltopSection,
  observations: ObservationsSection,
  streams: StreamsSection
}

const worst = { red: "✖ ", amber: "▲ ", green: "" } as const

/** The worst state in the tab's title, for those who have many tabs. */
const useTitle = (section: Section, isSignedIn: boolean) => {
  const colour = useCell(overview, (known) =>
    (["red", "amber", "green"] as const).find((one) => known?.flows.some((flow) => flow.colour === one))
  )
  useEffect(() => {
    document.title = isSignedIn
      ? `${colour === undefined ? "" : worst[colour]}${sectionNames[section]} – Penstock`
      : "Sign in – Penstock"
  }, [section, colour, isSignedIn])
}

export const Frame = () => {
  const { ended, keys } = useCell(session)
  const { section } = useCell(route)
  const isSignedIn = keys !== undefined
  useTitle(section, isSignedIn)

  // Who goes to a section by keyboard goes on there; the first is shown without that.
  const main = useRef<HTMLElement>(null)
  const shown = useRef(section)
  useEffect(() => {
    if (shown.current === section) return
    shown.current = section
    scrollTo(0, 0)
    main.current?.focus({ preventScroll: true })
  }, [section])

  // On a phone the links do not all fit.
  useEffect(() => {
    document.querySelector("nav [aria-current=page]")?.scrollIntoView({ inline: "center", block: "nearest" })
  }, [section, isSignedIn])

  return html`
    <a
      class="skip"
      href="#main"
      onClick=${(event: Event) => {
        event.preventDefault()
        main.current?.focus()
      }}
      >To the content</a
    >
    <${Header} isSignedIn=${isSignedIn} section=${section} />
    ${isSignedIn ? html`<${Banner} />` : null}
    <main id="main" tabindex="-1" ref=${main}>
      ${isSignedIn ? html`<${views[section]} />` : html`<${SignIn} ended=${ended} />`}
    </main>
  `
}
