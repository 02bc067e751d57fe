/**
 * The bytes of an answer as text.
 *
 * Hilltop's XML names no encoding, its HTTP headers often name none or a wrong one, and a client that follows them spoils
 * the macrons of Māori names. So the bytes decide: a byte order mark, then the XML declaration, then UTF-8 if they are
 * valid UTF-8. Of bytes that fit nothing, the evidence decides between UTF-8 that was damaged, where only what is damaged is lost
 * (as U+FFFD, for which nothing is ever asked), and windows-1252, which every byte sequence is.
 */
import { Option } from "effect"

export interface DecodedText {
  readonly text: string
  /** Places where bytes are none of the encoding; U+FFFD stands for them. */
  readonly spoilt: number
}

/** What stands for a character that could not be read. */
export const spoiltCharacter = "\uFFFD"

/** A name that cannot be asked for, since nobody knows what it is. */
export const isSpoilt = (name: string): boolean => name.includes(spoiltCharacter)

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

/** Code points from which UTF-8 takes two bytes, beyond Latin with its macrons, and three bytes. */
const [ASCII_END, LATIN_END, THREE_BYTES] = [0x80, 0x180, 0x800]

/**
 * What a valid sequence of Latin letters, or of three bytes, counts for: read as windows-1252 it would be `Ä` or `Å`
 * and then a sign (`Ä«`), which nobody writes. Other sequences (`É’`) happen.
 */
const plausible = 10

/** A macron of which only the first byte is left, because the name was cut there. In windows-1252 it would end in `Ä` or `Å`. */
const isCut = (lead: number, next: number | undefined): boolean =>
  (lead === 0xc4 || lead === 0xc5) && (next === undefined || next === 0x22 || next === 0x27 || next === 0x3c)

/** Damaged UTF-8, unless it is rather windows-1252: decided by what is valid in it against what is not. */
const byEvidence = (bytes: Uint8Array): DecodedText => {
  const text = new TextDecoder("utf-8").decode(bytes)
  let [valid, spoilt] = [0, 0]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < ASCII_END) continue
    if (code === 0xfffd) spoilt++
    else if ((code & 0xfc00) !== 0xdc00) valid += code < LATIN_END || code >= THREE_BYTES ? plausible : 1
  }
  let cut = 0
  for (let at = 0; at < bytes.length; at++) if (isCut(bytes[at]!, bytes[at + 1])) cut++
  return valid + cut > 0 && valid + cut >= spoilt - cut
    ? { text, spoilt }
    : { text: new TextDecoder("windows-1252").decode(bytes), spoilt: 0 }
}

/** Text whose encoding a mark names: it is that, with whatever damage. */
const asMarked = (bytes: Uint8Array, encoding: string): DecodedText => {
  const text = new TextDecoder(encoding).decode(bytes)
  return { text, spoilt: text.split(spoiltCharacter).length - 1 }
}

/** Never fails. */
export const readText = (bytes: Uint8Array): DecodedText => {
  const marked = markedEncoding(bytes)
  const declared = marked ?? declaredEncoding(bytes)
  return Option.fromUndefinedOr(declared).pipe(
    Option.flatMap((label) => decodeAs(label, bytes)),
    Option.map((text) => ({ text, spoilt: 0 })),
    Option.orElse(() => Option.map(Option.fromUndefinedOr(marked), (label) => asMarked(bytes, label))),
    Option.orElse(() => Option.map(decodeAs("utf-8", bytes), (text) => ({ text, spoilt: 0 }))),
    Option.getOrElse(() => byEvidence(bytes))
  )
}

export const decodeText = (bytes: Uint8Array): string => readText(bytes).text

/**
 * Bytes that the text takes in UTF-8, at least, known without decoding it: no fewer than there are, but for a byte order mark,
 * and half as many in UTF-16 and other encodings that have more than one for a character.
 */
export const leastBytes = (bytes: Uint8Array): number => {
  const label = markedEncoding(bytes) ?? declaredEncoding(bytes) ?? "utf-8"
  return Math.max(0, Math.ceil(/^(?:utf-8|iso-8859-|windows-125)/i.test(label) ? bytes.length : bytes.length / 2) - 3)
}
