/**
 * saxes, but for what is wrong with an ampersand or a single character: other readers of Hilltop get over it, and so a month of
 * values is not lost for a laboratory called `Smith & Sons`.
 *
 * An `&` that begins no reference is itself. What XML forbids, as a character or as a reference to one (`&#0;`), is told as
 * U+FFFD, which is no part of any number, time or name. A named reference that nobody defined stays a fault, as all else does.
 */
// The default import is what Node, tsx and Deno all make of a CommonJS module.
import saxes from "saxes"
import { spoiltCharacter } from "../../src/hilltop/HilltopText.ts"

/** Of the parser's state, all of which its types call private. */
interface State {
  readonly chunk: string
  i: number
  entity: string
  text: string
  state: number
  readonly entityReturnState: number
  readonly parseEntity: (entity: string) => string
}

export class LenientSaxesParser extends saxes.SaxesParser<{ position: false; xmlns: false }> {
  constructor() {
    super({ position: false, xmlns: false })
  }
}

/** Characters; none has more but with leading zeros. */
const longestReference = 32

/** Of the names of references, and of numbers: letters, digits, `#` and `-._:`. */
const isInReference = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 58) ||
  code === 35 ||
  code === 45 ||
  code === 46 ||
  code === 95

const SEMICOLON = 59

/** Takes the place of the parser's own step behind an `&`, which looks for a semicolon until the end of the document. */
function afterAmpersand(this: State): void {
  const { chunk, i: from } = this
  let at = from
  while (at < chunk.length && isInReference(chunk.charCodeAt(at))) at++
  const entity = this.entity + chunk.slice(from, at)
  const isBare = entity.length > longestReference
  this.i = at
  if (at === chunk.length && !isBare) {
    this.entity = entity
    return
  }
  this.entity = ""
  this.state = this.entityReturnState
  if (isBare || entity === "" || chunk.charCodeAt(at) !== SEMICOLON) {
    this.text += `&${entity}`
    return
  }
  this.i = at + 1
  this.text += entity.startsWith("#") ? characterOf(entity) : this.parseEntity(entity)
}
Object.defineProperty(LenientSaxesParser.prototype, "sEntity", { value: afterAmpersand })

const NUMBERED = /^#(?:x([0-9a-f]+)|([0-9]+))$/i

const characterOf = (reference: string): string => {
  const [, hexadecimal, decimal] = NUMBERED.exec(reference) ?? []
  const code = hexadecimal === undefined ? Number(decimal) : Number.parseInt(hexadecimal, 16)
  return isCharacter(code) ? String.fromCodePoint(code) : spoiltCharacter
}

/** Of XML 1.0. */
const isCharacter = (code: number): boolean =>
  (code >= 0x20 && code <= 0xd7ff) ||
  code === 9 ||
  code === 10 ||
  code === 13 ||
  (code >= 0xe000 && code <= 0xfffd) ||
  (code >= 0x10000 && code <= 0x10ffff)

// oxlint-disable-next-line no-control-regex -- those are the ones
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/
const eachForbidden = new RegExp(forbidden, "g")

/** The text without characters that no XML may hold. */
export const withoutForbidden = (text: string): string =>
  forbidden.test(text) ? text.replaceAll(eachForbidden, spoiltCharacter) : text
