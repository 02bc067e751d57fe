/**
 * Questions to the service, with the key in a header and nowhere else.
 *
 * A failure says what the reader can do: sign in again, wait, or read what the service says of it.
 */
import { giveUpAdmin, session, signOut } from "../session/session.ts"

/** Why there is no answer. */
export class Unanswered extends Error {
  /** `away`: nobody answers, or not now; `refused`: the service says no, and why. */
  readonly kind: "away" | "refused"
  readonly status: number
  constructor(kind: "away" | "refused", status: number, detail: string) {
    super(detail)
    this.kind = kind
    this.status = status
  }
}

export const expired = "The service does not know this key any more. Sign in with one that is valid."

export interface Question {
  readonly as?: "read" | "admin"
  readonly method?: string
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
  readonly accept?: string
}

const detailOf = async (response: Response): Promise<string> => {
  const problem = (await response.json().catch(() => ({}))) as { readonly detail?: unknown; readonly title?: unknown }
  return typeof problem.detail === "string" ? problem.detail : `the service answered ${response.status}`
}

/** What no page can do anything about but sign in again. */
const isSessionOver = (response: Response, as: "read" | "admin"): boolean => {
  if (response.status !== 401 && !(response.status === 403 && as === "admin")) return false
  if (as === "admin" && session.get().keys?.admin !== session.get().keys?.read) giveUpAdmin()
  else signOut(expired)
  return true
}

/** The answer, whatever its form; fails with `Unanswered`. */
export const askFor = async (path: string, question: Question = {}): Promise<Response> => {
  const as = question.as ?? "read"
  const { keys } = session.get()
  const key = as === "admin" ? keys?.admin : keys?.read
  if (key === undefined) throw new Unanswered("refused", 401, "sign in first")
  const response = await fetch(path, {
    method: question.method ?? "GET",
    headers: {
      authorization: `Bearer ${key}`,
      accept: question.accept ?? "application/json",
      ...(question.body === undefined ? {} : { "content-type": "application/json" })
    },
    ...(question.body === undefined ? {} : { body: JSON.stringify(question.body) }),
    ...(question.signal === undefined ? {} : { signal: question.signal }),
    cache: "no-store",
    credentials: "omit"
  }).catch((cause: unknown) => {
    if (question.signal?.aborted === true) throw cause
    throw new Unanswered("away", 0, "the service does not answer")
  })
  if (response.ok) return response
  if (isSessionOver(response, as)) throw new Unanswered("refused", response.status, "the key is not valid any more")
  throw new Unanswered(response.status >= 502 ? "away" : "refused", response.status, await detailOf(response))
}

export const ask = async <A>(path: string, question?: Question): Promise<A> =>
  (await askFor(path, question)).json() as Promise<A>

/** A path with those parameters that have a value. */
export const withQuery = (path: string, query: Readonly<Record<string, string | number | undefined>>): string => {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, String(value)]]
  )
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`
}
