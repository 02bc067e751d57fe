/** Numbers keep the digits of their source and become legal JSON; everything else is told apart from a number. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { censoredDecimal, decimalText } from "../../src/hilltop/DecimalText.ts"

describe("a decimal number", () => {
  it.each([
    ["584", "584"],
    ["12.50", "12.50"],
    ["0", "0"],
    ["-0", "-0"],
    ["-0.10", "-0.10"],
    ["0.000", "0.000"],
    [".5", "0.5"],
    ["-.5", "-0.5"],
    ["5.", "5"],
    ["+3", "3"],
    ["+.25", "0.25"],
    ["007", "7"],
    ["-007.70", "-7.70"],
    ["000", "0"],
    ["00.5", "0.5"],
    ["1e-7", "1e-7"],
    ["1.50E+03", "1.50e+03"],
    [".5e3", "0.5e3"],
    ["  42 ", "42"],
    ["214699991.0", "214699991.0"],
    ["123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"]
  ])("%j is written %s", (text, expected) => {
    assert.strictEqual(decimalText(text), expected)
    assert.strictEqual(Number(JSON.parse(expected)), Number(text))
  })

  it.each([
    ["1,234.5", "1234.5"],
    ["-12,345,678", "-12345678"],
    ["1,234,567.10", "1234567.10"],
    ["\u22125.2", "-5.2"],
    ["\uff0d5", "-5"],
    ["1e\u22123", "1e-3"]
  ])("%j, as somebody's program writes it, is %s", (text, expected) => {
    assert.strictEqual(decimalText(text), expected)
  })

  it.each([
    "",
    " ",
    "*",
    "-",
    "+",
    ".",
    "-.",
    "e5",
    "1e",
    "1e+",
    "--1",
    "+-1",
    "1.2.3",
    "1,234",
    "0,5",
    "0,123.5",
    "12,34.5",
    "1,2345.6",
    "1234,567.8",
    "1.234,5",
    "~5",
    "0.5*",
    "\u22125\u2212",
    "1\ufffd2",
    "1 2",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "not-a-number",
    "5 mm",
    "<5",
    "١٢",
    "1e309",
    "1e-999999999",
    "9".repeat(301)
  ])("%j is none", (text) => {
    assert.isUndefined(decimalText(text))
  })

  it.prop("is never changed when JSON already has it", { value: Schema.Finite }, ({ value }) => {
    const text = JSON.stringify(value)
    assert.strictEqual(decimalText(text), text)
  })
})

describe("a censored value", () => {
  it.each([
    ["<0.002", { value: "0.002", qualifier: "<" }],
    ["> 2400", { value: "2400", qualifier: ">" }],
    [" < .5 ", { value: "0.5", qualifier: "<" }],
    ["≤0.5", { value: "0.5", qualifier: "<" }],
    ["≥ 2,400.0", { value: "2400.0", qualifier: ">" }],
    ["<= 3", { value: "3", qualifier: "<" }],
    [">=\u22123", { value: "-3", qualifier: ">" }],
    ["0.014", { value: "0.014" }]
  ] as const)("%j keeps its number and its side", (text, expected) => {
    assert.deepStrictEqual(censoredDecimal(text), expected)
  })

  it.each(["<", "<>5", "≤≤5", "<==5", "=5", "~<5", "<~5", "<*", ">x", "5<", "*"])("%j has no number", (text) => {
    assert.isUndefined(censoredDecimal(text))
  })
})
