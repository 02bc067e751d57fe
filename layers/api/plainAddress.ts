/**
 * The address of a source as it may be shown to readers: without query, user and password, in which keys may be.
 */
export const plainAddress = (htsUrl: string): string => {
  if (!URL.canParse(htsUrl)) return ""
  const { origin, pathname } = new URL(htsUrl)
  return `${origin}${pathname}`
}
