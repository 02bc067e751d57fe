/**
 * Text as an old Windows server would write it: one byte per character, without saying so.
 *
 * What the code page lacks (macrons) becomes a numeric reference, so that the document means the same to a reader that
 * guesses the encoding and is broken for one that insists on UTF-8.
 */
import { reference } from "./Xml.ts"

/** The characters at 0x80 to 0x9F; the others have their own number. */
const upper = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"

const codes = new Map([...upper].map((character, index) => [character, 0x80 + index]))

const codeOf = (character: string): number | undefined => {
  const point = character.codePointAt(0) ?? 0
  if (point < 0x80 || (point >= 0xa0 && point <= 0xff)) return point
  return codes.get(character)
}

export const encodeWindows1252 = (text: string): Uint8Array => {
  const bytes: Array<number> = []
  for (const character of text) {
    const code = codeOf(character)
    if (code !== undefined) bytes.push(code)
    else for (const one of reference(character)) bytes.push(one.charCodeAt(0))
  }
  return Uint8Array.from(bytes)
}
