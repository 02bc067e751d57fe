/** The page's header: where one can go, whether it is live, and who is signed in. */
import { liveState, type LiveState } from "../live/live.ts"
import { useCell } from "../live/Cell.ts"
import { html } from "../parts/html.ts"
import { showsAbsolute } from "../parts/Moment.ts"
import { session, signOut } from "../session/session.ts"
import { addressOf } from "./route.ts"
import { type Section, sectionNames, sections } from "./sections.ts"

const dots: Readonly<Record<LiveState["state"], readonly [state: string, word: string]>> = {
  live: ["live", "live"],
  joining: ["joining", "connecting"],
  hidden: ["joining", "resting"],
  blind: ["away", "database away"],
  away: ["away", "not connected"]
}

const Live = () => {
  const state = useCell(liveState, (live) => live.state)
  const [dot, word] = dots[state]
  return html`<span class="live-dot" data-state=${dot} role="status">${word}</span>`
}

const Who = () => {
  const hasAdmin = useCell(session, ({ keys }) => keys?.admin !== undefined)
  const absolute = useCell(showsAbsolute)
  return html`<div class="who">
    <${Live} />
    <button type="button" class="quiet" aria-pressed=${String(absolute)} onClick=${() => showsAbsolute.set(!absolute)}>
      Exact times
    </button>
    <span class="role">${hasAdmin ? "admin" : "read only"}</span>
    <button type="button" class="quiet" onClick=${() => signOut()}>Sign out</button>
  </div>`
}

export const Header = ({ isSignedIn, section }: { readonly isSignedIn: boolean; readonly section: Section }) => {
  const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href
  return html`<header class="top">
    <div class="top-inner">
      <h1 class="brand"><img src=${icon} alt="" />Penstock</h1>
      ${
        isSignedIn
          ? html`<nav aria-label="Sections">
                <ul class="links">
                  ${sections.map(
                    (one) =>
                      html`<li key=${one}>
                        <a href=${addressOf(one)} aria-current=${one === section ? "page" : undefined}
                          >${sectionNames[one]}</a
                        >
                      </li>`
                  )}
                </ul>
              </nav>
              <${Who} />`
          : null
      }
    </div>
  </header>`
}
