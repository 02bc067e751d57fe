import { readFileSync, writeFileSync } from "node:fs"
import { tellComparison } from "./tellComparison.ts"
const rows = readFileSync(process.argv[2]!, "utf8").trim().split("\n").map((l) => JSON.parse(l, (k, v) => (v === null ? Number.NaN : v)))
console.log(tellComparison(rows))
const m = await import("./drawFigures.ts")
for (const [n, svg] of m.drawFigures(rows)) writeFileSync("docs/freshness/" + n, svg)
