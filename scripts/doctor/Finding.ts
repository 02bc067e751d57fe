/**
 * What `penstock doctor` has to say of one thing: how it is, what was found, and what to do where it is not well.
 */
export interface Finding {
  readonly check: string
  /** A warning does not keep the service from working; a failure does, or will. */
  readonly state: "ok" | "warning" | "failed"
  readonly found: string
  readonly remedy?: string
}

export const ok = (check: string, found: string): Finding => ({ check, state: "ok", found })
export const warning = (check: string, found: string, remedy: string): Finding => ({
  check,
  state: "warning",
  found,
  remedy
})
export const failed = (check: string, found: string, remedy: string): Finding => ({
  check,
  state: "failed",
  found,
  remedy
})

/** The code of the system, of a library or of a server somewhere beneath an error. */
export const codeBeneath = (error: unknown, depth = 0): string | undefined => {
  if (typeof error !== "object" || error === null || depth > 6) return undefined
  if ("code" in error && typeof error.code === "string") return error.code
  if ("errors" in error && Array.isArray(error.errors) && error.errors.length > 0) {
    return codeBeneath(error.errors[0], depth + 1)
  }
  return codeBeneath("cause" in error ? error.cause : "reason" in error ? error.reason : undefined, depth + 1)
}

/** Why nobody could be reached at an address, by that code; none where the code says nothing of it. */
export const whyUnreached = (address: string, code: string | undefined): string | undefined => {
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the host of ${address} is not known`
    case "ECONNREFUSED":
      return `nobody listens at ${address}`
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
    case "UND_ERR_CONNECT_TIMEOUT":
      return `${address} cannot be reached`
    case "ECONNRESET":
    case "UND_ERR_SOCKET":
    case "EPIPE":
      return `${address} cuts the connection`
  }
  if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/.test(code)) {
    return `the certificate of ${address} is not trusted (${code})`
  }
  if (code !== undefined && /SSL|HPE_|EPROTO/.test(code)) return `${address} speaks another protocol (${code})`
  return undefined
}

/** Milliseconds by which clocks may differ before it is worth a word. */
const noticeable = 1_000

/** What a difference of clocks is worth, in milliseconds; one moment less precisely known than `blur`. */
export const clockFinding = (check: string, of: string, difference: number, most: number, blur: number): Finding => {
  const by = Math.max(0, Math.abs(difference) - blur)
  const seconds = `${(Math.abs(difference) / 1_000).toFixed(by < 10_000 ? 1 : 0)} s`
  const told = `the clock of ${of} is ${seconds} ${difference < 0 ? "behind" : "ahead of"} that of this machine`
  const remedy = "set both clocks by NTP (chrony, systemd-timesyncd)"
  if (by > most) return failed(check, told, remedy)
  return by > noticeable ? warning(check, told, remedy) : ok(check, `the clock of ${of} agrees with this machine's`)
}
