/**
 * What a server said of a failure, fit for a task's history.
 *
 * A server may quote what it was asked with: keys in the source's address, or somebody's number.
 */
import { blotPersonalNumbers } from "../domain/PersonalNumber.ts"

/** Shorter ones are words such as `Hilltop`, and no secrets. */
const shortestSecret = 8

export const withoutSecrets = (detail: string, htsUrl: string): string => {
  if (!URL.canParse(htsUrl)) return blotPersonalNumbers(detail)
  const { password, searchParams } = new URL(htsUrl)
  const secrets = [password, ...[...searchParams.values()].flatMap((value) => [value, encodeURIComponent(value)])]
  return secrets
    .filter((secret) => secret.length >= shortestSecret)
    .reduce((text, secret) => text.replaceAll(secret, "[secret]"), blotPersonalNumbers(detail))
}
