/** Begins the page: who is signed in, where they are, and what the service says. */
import { render } from "preact"
import { beginToFollow } from "./live/live.ts"
import { html } from "./parts/html.ts"
import { beginSession, keysIn, signIn } from "./session/session.ts"
import { Frame } from "./shell/Frame.ts"
import { followAddress } from "./shell/route.ts"

beginSession()
// An address with keys may also be opened in a tab that has the page already.
addEventListener("hashchange", (event) => {
  const given = /^#(?:read|admin)=/.test(location.hash) ? keysIn(location.hash) : undefined
  if (given === undefined) return
  event.stopImmediatePropagation()
  history.replaceState(null, "", "#/")
  signIn(given)
})
followAddress()
beginToFollow()

const page = document.querySelector("#page")
if (page !== null) render(html`<${Frame} />`, page)
