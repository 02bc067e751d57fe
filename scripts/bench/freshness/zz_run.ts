import { appendFileSync } from "node:fs"
import { councilMix, councilWorld } from "./CouncilWorld.ts"
import { compare } from "./Comparison.ts"
const [from, to, sites, days, file, ten] = process.argv.slice(2)
for (let seed = Number(from); seed <= Number(to); seed++) {
  for (const row of compare(
    councilWorld(seed, {
      sites: Number(sites),
      days: Number(days),
      ...(ten ? { mix: { ...councilMix, tenDays: true } } : {})
    }),
    seed
  ))
    appendFileSync(file!, JSON.stringify(row) + "\n")
}
