/**
 * Documents spoilt at random: bytes flipped, parts cut out, doubled, moved in from another sample, references, tags and
 * other encodings where none belong. The same seed and number give the same document, so that a find can be looked at.
 */
import { readdirSync, readFileSync } from "node:fs"
import { seeded, type SeededRandom } from "../../scripts/simulators/SeededRandom.ts"

const folder = new URL("../samples/", import.meta.url)

/** The bytes of every sample, in the order of their names. */
export const sampleBytes: ReadonlyArray<Buffer> = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((path) => /\.(?:xml|html|json)$/.test(path) && !path.endsWith(".expected.json"))
  .sort()
  .map((path) => readFileSync(new URL(path, folder)))

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What an attacker would send, what breaks parsers, and what is nearly right. */
const tokens = [
  '<!DOCTYPE a [<!ENTITY b "c">]>',
  '<?xml version="1.1" encoding="utf-16"?>',
  "<?xml version='1.0' encoding='windows-1252'?>",
  "<?E?>",
  "<!-- <E> -->",
  "<!--",
  "-->",
  "<![CDATA[<E><T>]]>",
  "<![CDATA[",
  "]]>",
  "&b;",
  "&lt;",
  "&amp;amp;",
  "&#0;",
  "&#x10FFFF;",
  "&#xD800;",
  "&",
  "<E>",
  "<E >",
  '<E a="1">',
  "<E/>",
  "</E>",
  "<Gap/>",
  "<Gap></Gap>",
  "<T>2025-01-01T24:00:00</T>",
  "<T>2025-02-30T00:00:00</T>",
  "<D>1/2/2012</D>",
  "<T/>",
  "<I1>",
  "<I1> 5</I1>",
  "<I1>5</I1>",
  "<I1></I1>",
  "<I2>-0</I2>",
  "<Q1>500</Q1>",
  "<Value>*</Value>",
  '<Parameter Name="a" Value="&lt;"/>',
  "<V>2682504000 1 2</V>",
  "<Data>",
  "</Data>",
  '<Measurement SiteName="S">',
  "</Measurement>",
  "<Error>No data</Error>",
  "<e>",
  "</Hilltop>",
  "<Hilltop>",
  "\r\n",
  "\r",
  "\t",
  " ",
  '"',
  "'",
  ">",
  "<",
  "=",
  "\u0000",
  "\u0085",
  "\u2028",
  "\uFFFE",
  "ā",
  "🌊",
  "9".repeat(400),
  "<a>".repeat(70),
  "mowsecs",
  "1e999"
].map(bytesOf)

const cut = (bytes: Uint8Array, from: number, to: number, between: Uint8Array = new Uint8Array()): Uint8Array =>
  Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)])

const wide = (bytes: Uint8Array, order: "le" | "be"): Uint8Array => {
  const result = Buffer.from(new TextDecoder().decode(bytes), "utf16le")
  return order === "le" ? result : result.swap16()
}

type Spoil = (bytes: Buffer, random: SeededRandom) => Uint8Array

/** A place, more often than not where something begins. */
const place = (bytes: Buffer, random: SeededRandom, tag = "<"): number => {
  const at = random.int(0, bytes.length)
  const found = random.chance(0.8) ? bytes.indexOf(tag, at) : -1
  return found < 0 ? at : found
}

const cells = [
  "<T>2025-01-01T00:05:00</T>",
  "<T>2025-01-01 00:05:00.250</T>",
  "<T>2025-06-01T24:00:00</T>",
  "<T>2682504000</T>",
  "<T>soon</T>",
  "<D>2025-01-01</D>",
  "<I1>584</I1>",
  "<I1>0.50</I1>",
  "<I1>-0</I1>",
  "<I1>1e5</I1>",
  "<I1/>",
  "<I1></I1>",
  "<I1> 5 </I1>",
  "<I1> * </I1>",
  "<I1>five</I1>",
  "<I1>5></I1>",
  "<I1>5]]></I1>",
  "<I1>5<!-- or 6 --></I1>",
  "<I2>7</I2>",
  "<I2>*</I2>",
  "<Q1>500</Q1>",
  "<Q1/>",
  "<Q2>600</Q2>",
  "<Value>&lt;0.002</Value>",
  "<Value>0.014</Value>",
  "<Value>*</Value>",
  "<QualityCode>400</QualityCode>",
  '<Parameter Name="Lab" Value="Demo &amp; Sons"/>',
  '<Parameter Name="Lab" Value="Demo Lab"/>',
  '<Parameter Name="Lab" Value="Demo Lab"></Parameter>',
  '<Parameter Name="Lab" Name="Lab" Value="x"/>',
  "<Value>&gt;2400</Value>",
  "<Value>&lt;&lt;4</Value>",
  "<Value>&lt</Value>",
  "<I1 a='b'>3</I1>",
  "<I1>3</I1 >",
  "<E>1</E>",
  "<T><b>2025</b></T>",
  "<Gap/>",
  "<!-- <E> -->",
  "<!--<E><T>2025-01-01T00:00:00</T><I1>1</I1></E>-->",
  "<![CDATA[<E>]]>",
  "text",
  "\u00e9"
]

const oddRow = (random: SeededRandom): string => {
  const some = Array.from({ length: random.int(0, 4) }, () => random.pick(cells)).join(
    random.pick(["", "", "\n", "\r\n ", "\t"])
  )
  const row = `<E><T>2025-03-0${random.int(0, 9)}T01:02:03</T>${some}</E>`
  return `${random.pick(["", "", "", "<Gap/>", "\n"])}${random.chance(0.9) ? row : row.replace("<E>", "<E >")}\n`
}

const span = (bytes: Buffer, random: SeededRandom): readonly [number, number] => {
  const from = place(bytes, random)
  const to = random.chance(0.5) ? place(bytes, random) : from + random.int(1, 40)
  return from <= to ? [from, Math.min(to, bytes.length)] : [to, from]
}

const spoils: ReadonlyArray<Spoil> = [
  (bytes, random) => {
    const copy = Uint8Array.from(bytes)
    for (let flips = random.int(1, 8); flips > 0 && copy.length > 0; flips--) {
      copy[random.int(0, copy.length - 1)]! ^= 1 << random.int(0, 7)
    }
    return copy
  },
  (bytes, random) => cut(bytes, ...span(bytes, random)),
  (bytes, random) => {
    const [from, to] = span(bytes, random)
    return cut(bytes, to, to, bytes.subarray(from, to))
  },
  (bytes, random) => {
    const other = random.pick(sampleBytes)
    return cut(bytes, ...span(bytes, random), other.subarray(...span(other, random)))
  },
  (bytes, random) => bytes.subarray(0, random.int(0, bytes.length)),
  (bytes, random) => {
    const at = place(bytes, random)
    return cut(bytes, at, at, random.pick(tokens))
  },
  (bytes, random) => {
    const at = random.int(0, bytes.length)
    return cut(bytes, at, Math.min(at + random.int(0, 3), bytes.length), random.pick(tokens))
  },
  // A row that is nearly like the others, where a row may stand.
  (bytes, random) => {
    const row = place(bytes, random, "<E>")
    return cut(bytes, row, row, bytesOf(oddRow(random)))
  },
  (bytes, random) => {
    const row = place(bytes, random, "<E>")
    return cut(bytes, row, row, bytesOf(oddRow(random) + oddRow(random)))
  },
  (bytes) => Buffer.from(bytes.toString("latin1").replaceAll(/(<\/?)Hilltop\b/g, "$1Error"), "latin1"),
  // Rows until they reach beyond one piece of the scanner.
  (bytes, random) => {
    const row = Math.max(bytes.indexOf("<E>"), 0)
    const end = bytes.lastIndexOf("</E>") + 4
    const part = bytes.subarray(row, Math.max(row, end))
    if (part.length === 0 || bytes.length > 100_000 || random.chance(0.9)) return bytes
    return cut(bytes, row, row, Buffer.concat(Array.from({ length: Math.ceil(70_000 / part.length) }, () => part)))
  },
  (bytes, random) =>
    random.chance(0.8)
      ? bytes
      : random.pick([
          wide(bytes, "le"),
          wide(bytes, "be"),
          Buffer.concat([Uint8Array.of(0xef, 0xbb, 0xbf), bytes]),
          Buffer.concat([Uint8Array.of(0xff, 0xfe), bytes]),
          Buffer.from(new TextDecoder().decode(bytes), "latin1")
        ])
]

/** The document of this number: a sample, spoilt once or a few times. */
export const spoiltDocument = (seed: string | number, number: number): Uint8Array => {
  const random = seeded(seed, "spoilt", number)
  return spoiltBytes(random.pick(sampleBytes), random)
}

/** The document, spoilt once or a few times. */
export const spoiltBytes = (document: Uint8Array, random: SeededRandom): Uint8Array => {
  let bytes = Buffer.from(document)
  for (let times = random.pick([1, 1, 1, 2, 3, 5]); times > 0; times--) {
    bytes = Buffer.from(random.pick(spoils)(bytes, random))
  }
  return bytes
}
