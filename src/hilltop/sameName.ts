/**
 * Whether two names of a site are one: a server may write a name in another Unicode form than it lists it, with spaces at its ends
 * or more of them within, or in another case.
 *
 * What could not be read of the name in a document (U+FFFD) may have been anything, as long as the rest of it agrees.
 */
import { isSpoilt, spoiltCharacter } from "./HilltopText.ts"

const plain = (name: string): string => name.normalize("NFC").trim().replaceAll(/\s+/g, " ").toLowerCase()

/** Whether `found`, in a document, is the name that was `asked` for. */
export const sameName = (found: string, asked: string): boolean => {
  if (found === asked) return true
  const [one, other] = [plain(found), plain(asked)]
  return one === other || (isSpoilt(one) && fits(one.split(spoiltCharacter), other))
}

/** Whether the text has these parts one behind the other, the first at its beginning and the last at its end. */
const fits = (parts: ReadonlyArray<string>, text: string): boolean => {
  const [first = "", last = ""] = [parts[0], parts.at(-1)]
  if (first + last === "") return false
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= text.length - last.length
}
