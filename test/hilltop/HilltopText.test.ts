/** Bytes become text by what they are, whatever the headers said: macrons and degree signs survive. */
import { assert, describe, it } from "@effect/vitest"
import { decodeText, leastBytes, readText } from "../../src/hilltop/HilltopText.ts"

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const single = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
const wide = (text: string, littleEndian: boolean): Uint8Array => {
  const view = new DataView(new ArrayBuffer(text.length * 2))
  for (let at = 0; at < text.length; at++) view.setUint16(at * 2, text.charCodeAt(at), littleEndian)
  return new Uint8Array(view.buffer)
}

const document = (declaration: string): string => `${declaration}<Site Name="Awa-a-Tāne" Units="ºC"/>`
const western = (declaration: string): string => `${declaration}<Site Name="Caf\u00e9" Units="\u00b0C"/>`

describe("bytes", () => {
  it.each([
    "",
    '<?xml version="1.0" ?>\n',
    '<?xml version="1.0" encoding="utf-8"?>',
    "<?xml version='1.0' encoding='UTF-8' ?>"
  ])("are UTF-8 after the declaration %j", (declaration) => {
    assert.strictEqual(decodeText(utf8(document(declaration))), document(declaration))
  })

  it("lose a byte order mark", () => {
    assert.strictEqual(decodeText(utf8(`\uFEFF${document("")}`)), document(""))
    assert.strictEqual(decodeText(wide(`\uFEFF${document("")}`, true)), document(""))
    assert.strictEqual(decodeText(wide(`\uFEFF${document("")}`, false)), document(""))
  })

  it("without a mark are UTF-16 when they begin with half of a <", () => {
    assert.strictEqual(decodeText(wide(document(""), true)), document(""))
    assert.strictEqual(decodeText(wide(document(""), false)), document(""))
  })

  it.each(["windows-1252", "ISO-8859-1", "latin1"])("follow a declared %s", (encoding) => {
    const text = western(`<?xml version="1.0" encoding="${encoding}"?>`)
    assert.strictEqual(decodeText(single(text)), text)
  })

  it("that are not UTF-8 are windows-1252, undeclared or declared wrongly", () => {
    for (const declaration of [
      "",
      '<?xml version="1.0" encoding="utf-8"?>',
      '<?xml version="1.0" encoding="klingon"?>'
    ]) {
      assert.strictEqual(decodeText(single(western(declaration))), western(declaration))
    }
    assert.strictEqual(decodeText(Uint8Array.of(0x80, 0x92)), "€’")
  })

  it("declared as UTF-16 but readable as single bytes are UTF-8", () => {
    const text = document('<?xml version="1.0" encoding="utf-16"?>')
    assert.strictEqual(decodeText(utf8(text)), text)
  })

  it("of a mark win over the declaration", () => {
    const text = document('<?xml version="1.0" encoding="windows-1252"?>')
    assert.strictEqual(decodeText(utf8(`\uFEFF${text}`)), text)
  })

  it("may be none at all", () => {
    assert.strictEqual(decodeText(new Uint8Array()), "")
  })

  it("tell without being decoded how long their text is at least", () => {
    const long = (declaration: string) => western(declaration).repeat(100)
    const latin = long('<?xml version="1.0" encoding="ISO-8859-1"?>')
    const cases: ReadonlyArray<readonly [Uint8Array, number]> = [
      [utf8(""), 1],
      [utf8(long("")), 1],
      [utf8(`\uFEFF${long("")}`), 1],
      [single(long("")), 1],
      [single(latin), 1],
      [wide(`\uFEFF${"x".repeat(5000)}`, true), 2],
      [wide(long(""), false), 2],
      [utf8(long('<?xml version="1.0" encoding="shift_jis"?>')), 2]
    ]
    for (const [bytes, perByte] of cases) {
      assert.isAtMost(leastBytes(bytes), utf8(decodeText(bytes)).length)
      assert.isAtLeast(leastBytes(bytes), bytes.length / perByte - 3)
    }
  })
})

const bytes = (...parts: ReadonlyArray<string | number>): Uint8Array =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? utf8(part) : Uint8Array.of(part))))

describe("damaged UTF-8", () => {
  it.each([
    ["one byte among macrons", ["<a>Ōtāne ", 0xb0, "C</a>"], "<a>Ōtāne \uFFFDC</a>", 1],
    [
      "one macron among bytes of another encoding",
      ["Tāne ", 0xb0, "C ", 0xb0, "C ", 0xb3],
      "Tāne \uFFFDC \uFFFDC \uFFFD",
      3
    ],
    ["a name cut in the middle of a letter", ['<a b="Tāne"/><a b="T', 0xc4, '"/>'], '<a b="Tāne"/><a b="T\uFFFD"/>', 1],
    ["a name cut where nothing else is macronised", ['<a b="T', 0xc4, '"/>'], '<a b="T\uFFFD"/>', 1],
    ["a text cut in the middle of a macron", ["<a>T", 0xc5, "</a>"], "<a>T\uFFFD</a>", 1],
    ["a letter of three bytes without its last", ["€ ", 0xe2, 0x82, "x"], "€ \uFFFDx", 1],
    ["a document that was cut itself", ["<a>āē", 0xc4], "<a>āē\uFFFD", 1],
    [
      "a declaration that does not hold",
      ['<?xml version="1.0" encoding="utf-8"?><a>ā', 0xe9, "</a>"],
      '<?xml version="1.0" encoding="utf-8"?><a>ā\uFFFD</a>',
      1
    ],
    ["a byte order mark and nothing else to tell it by", ["\uFEFF<a>Caf", 0xe9, "</a>"], "<a>Caf\uFFFD</a>", 1]
  ] as const)("keeps what is whole: %s", (_, parts, text, spoilt) => {
    assert.deepStrictEqual(readText(bytes(...parts)), { text, spoilt })
  })

  it.each([
    ["nothing but Latin letters", [0xc9, 0xe9, 0xb0], "Éé°"],
    [
      "a pair of bytes that may be one letter",
      ["CAF", 0xc9, 0x92, "s ", 0xe9, "t", 0xe9, " ", 0xb0, "C"],
      "CAFÉ’s été °C"
    ],
    ["a letter at the end of a name", ['<a b="Caf', 0xe9, '"/>'], '<a b="Café"/>'],
    ["a capital within a name", ["M", 0xc4, "NUK", 0xc5, "A ", 0xb0], "MÄNUKÅA °"]
  ] as const)("is not what windows-1252 is taken for: %s", (_, parts, text) => {
    assert.deepStrictEqual(readText(bytes(...parts)), { text, spoilt: 0 })
  })

  it("of UTF-16 is UTF-16 still", () => {
    const odd = Buffer.concat([wide("\uFEFF<a>T\u0101ne</a>", true), Uint8Array.of(0x41)])
    assert.deepStrictEqual(readText(odd), { text: "<a>Tāne</a>\uFFFD", spoilt: 1 })
  })

  it("is told in little time, however large", () => {
    const large = Buffer.alloc(20_000_000, 0xc4)
    const started = performance.now()
    readText(large)
    // Half a second alone.
    assert.isBelow(performance.now() - started, 20_000)
  }, 30_000)
})
