/**
 * Small damage to a document that is otherwise right, as programs and what stands between them do it: where it begins or ends, in a
 * name, in a text. What a careful reader gets over, and what it must not, side by side.
 */
import { Schema } from "effect"

export const SpoiltKind = Schema.Literals([
  /** White space and a byte order mark before it. */
  "before",
  /** NULs and line ends behind it. */
  "behind",
  /** An ampersand that begins no reference, in a text. */
  "ampersand",
  /** Characters that XML forbids, and references to them, in a text and in a comment. */
  "control",
  /** One byte of another encoding in a text; all names are whole. */
  "stray-byte",
  /** The name of the first site, or of the data's, without its last letter's second byte. */
  "cut-name",
  /** An `Error` among data, or at the end of a list. */
  "error-within"
])
export type SpoiltKind = typeof SpoiltKind.Type

const utf8 = new TextEncoder()
const cut = "\uE000"
const stray = "\uE001"

const before: Partial<Record<SpoiltKind, string>> = { before: "\r\n \uFEFF" }
const behind: Partial<Record<SpoiltKind, string>> = { behind: "\r\n\u0000\u0000\u0000\n" }

/** What the first piece, in which the agency and the first name stand, is instead. */
const atFirst = (text: string, kind: SpoiltKind): string => {
  switch (kind) {
    case "ampersand":
      return text.replace("</Agency>", " & Sons</Agency>")
    case "control":
      return text.replace("</Agency>", "\u0001&#0;</Agency><!-- \u0002 -->")
    case "stray-byte":
      return text.replace("</Agency>", ` Tāne ${stray}C</Agency>`)
    case "cut-name":
      return text.replace(/((?:<Site|<DataSource|<Measurement)\s[^>]*?Name="[^"]*)"/, `$1 T${cut}"`)
    default:
      return text
  }
}

const withError = (text: string): string =>
  text.replace(/(<\/Data>\n<\/Measurement>\n<\/Hilltop>|<\/HilltopServer>)/, "<Error>The archive is locked</Error>\n$1")

/** The bytes of a text in which some stand for what is no character. */
const bytesOf = (text: string): Uint8Array =>
  text.includes(cut) || text.includes(stray)
    ? Buffer.concat(
        text
          .split(/([\uE000\uE001])/)
          .map((part) =>
            part === cut ? Uint8Array.of(0xc4) : part === stray ? Uint8Array.of(0xb0) : utf8.encode(part)
          )
      )
    : utf8.encode(text)

/** The pieces of a document, damaged in this way. */
export function* spoiltText(pieces: Iterable<string | Uint8Array>, kind: SpoiltKind): Generator<string | Uint8Array> {
  if (before[kind] !== undefined) yield before[kind]
  let first = true
  for (const piece of pieces) {
    const text = typeof piece === "string" ? piece : new TextDecoder().decode(piece)
    const spoilt = first ? atFirst(text, kind) : text
    first = false
    yield bytesOf(kind === "error-within" ? withError(spoilt) : spoilt)
  }
  if (behind[kind] !== undefined) yield behind[kind]
}
