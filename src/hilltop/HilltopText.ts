/**
 * The bytes of an answer as text.
 *
 * Hilltop's XML names no encoding, its HTTP headers often name none or a wrong one, and a client that follows them spoils
 * the macrons of Māori names. So the bytes decide: a byte order mark, then the XML declaration, then UTF-8 if they are
 * valid UTF-8, else windows-1252, which every byte sequence is.
 */
import { Option } from "effect"

/** None when the label is unknown or the bytes do not fit it. The byte order mark is not part of the text. */
const decodeAs = Option.liftThrowable((label: string, bytes: Uint8Array): string =>
  new TextDecoder(label, { fatal: true }).decode(bytes)
)

const DECLARED = /^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']/

/** What the first bytes show: a mark, or the two halves of `<` in UTF-16. */
const markedEncoding = (bytes: Uint8Array): string | undefined => {
  const [a, b, c] = bytes
  if (a === 0xef && b === 0xbb && c === 0xbf) return "utf-8"
  if ((a === 0xff && b === 0xfe) || (a === 0x3c && b === 0)) return "utf-16le"
  if ((a === 0xfe && b === 0xff) || (a === 0 && b === 0x3c)) return "utf-16be"
  return undefined
}

/** A declaration that could be read as single bytes was not written in UTF-16, whatever it says. */
const declaredEncoding = (bytes: Uint8Array): string | undefined => {
  const label = DECLARED.exec(String.fromCharCode(...bytes.subarray(0, 200)))?.[1]
  return label === undefined || /^(utf|ucs)-?16|^iso-10646/i.test(label) ? undefined : label
}

/** Never fails: what fits nothing else is windows-1252. */
export const decodeText = (bytes: Uint8Array): string =>
  Option.fromUndefinedOr(markedEncoding(bytes) ?? declaredEncoding(bytes)).pipe(
    Option.flatMap((label) => decodeAs(label, bytes)),
    Option.orElse(() => decodeAs("utf-8", bytes)),
    Option.getOrElse(() => new TextDecoder("windows-1252").decode(bytes))
  )

/**
 * Bytes that the text takes in UTF-8, at least, known without decoding it: no fewer than there are, but for a byte order mark,
 * and half as many in UTF-16 and other encodings that have more than one for a character.
 */
export const leastBytes = (bytes: Uint8Array): number => {
  const label = markedEncoding(bytes) ?? declaredEncoding(bytes) ?? "utf-8"
  return Math.max(0, Math.ceil(/^(?:utf-8|iso-8859-|windows-125)/i.test(label) ? bytes.length : bytes.length / 2) - 3)
}
