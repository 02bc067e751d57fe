/** Asks for keys, and tries them before it takes them. */
import { useState } from "preact/hooks"
import { useAction } from "../asking/useAction.ts"
import { html } from "../parts/html.ts"
import { Said } from "../parts/Said.ts"
import { session, signIn } from "./session.ts"

/** The scopes that the service gives the key. */
const scopesOf = async (key: string): Promise<ReadonlyArray<string>> => {
  const response = await fetch("api_key", {
    headers: { authorization: `Bearer ${key}` },
    cache: "no-store",
    credentials: "omit"
  }).catch(() => {
    throw new Error("The service does not answer. Try again in a moment.")
  })
  if (response.status === 401) return []
  if (!response.ok) throw new Error(`The service cannot say now (${response.status}). Try again in a moment.`)
  const { scopes } = (await response.json()) as { readonly scopes: ReadonlyArray<{ readonly scope: string }> }
  return scopes.map(({ scope }) => scope)
}

/** Headers hold no other characters, so no key does. */
const isPlain = (key: string): boolean => /^[\x21-\x7e]+$/.test(key)

const tried = async (key: string, scope: "read" | "admin"): Promise<ReadonlyArray<string>> => {
  const scopes = isPlain(key) ? await scopesOf(key) : []
  if (scopes.length === 0) throw new Error(`The service does not know this ${scope} key.`)
  if (!scopes.includes(scope)) throw new Error(`This key is for ${scopes.join(" and ")}, not for ${scope}.`)
  return scopes
}

export const SignIn = ({ ended }: { readonly ended: string | undefined }) => {
  const [read, setRead] = useState("")
  const [admin, setAdmin] = useState("")
  const action = useAction()
  const submit = (event: Event) => {
    event.preventDefault()
    action.run(async () => {
      const scopes = await tried(read.trim(), "read")
      const given = admin.trim()
      if (given !== "") await tried(given, "admin")
      if (session.get().keys === undefined) {
        signIn({ read: read.trim(), admin: given || (scopes.includes("admin") ? read.trim() : undefined) })
      }
      return "Signed in."
    })
  }
  return html`<section class="card sign-in" aria-labelledby="sign-in">
    <h2 id="sign-in">Sign in</h2>
    <p class="soft">
      A read key opens this page; an admin key shows the actions too. Both are kept for this tab only, and forgotten
      when it is closed.
    </p>
    ${ended === undefined ? null : html`<p class="said tone-late" role="alert">${ended}</p>`}
    <form class="stack" onSubmit=${submit}>
      <label>
        Read key
        <input
          type="password"
          required
          autocomplete="current-password"
          value=${read}
          onInput=${(event: Event) => setRead((event.target as HTMLInputElement).value)}
        />
      </label>
      <label>
        Admin key, if you have one
        <input
          type="password"
          autocomplete="off"
          value=${admin}
          onInput=${(event: Event) => setAdmin((event.target as HTMLInputElement).value)}
        />
      </label>
      <div class="buttons">
        <button class="main" disabled=${action.busy}>${action.busy ? "Trying…" : "Sign in"}</button>
      </div>
      <${Said} said=${action.said} />
    </form>
  </section>`
}
