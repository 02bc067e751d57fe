/** Every kind of fault by its name, as `--faults` has it. */
import { brokerFaults } from "./brokerFaults.ts"
import type { FaultKind } from "./ChaosFault.ts"
import { networkFaults } from "./networkFaults.ts"
import { postgresFaults } from "./postgresFaults.ts"
import { processFaults } from "./processFaults.ts"
import { sourceFaults } from "./sourceFaults.ts"

const all: Readonly<Record<string, FaultKind>> = {
  ...processFaults,
  ...postgresFaults,
  ...brokerFaults,
  ...sourceFaults,
  ...networkFaults
}

export const faultNames: ReadonlyArray<string> = Object.keys(all)

export const faultNamed = (name: string): FaultKind => {
  const kind = all[name]
  if (kind === undefined) throw new Error(`There is no fault "${name}"; there are ${faultNames.join(", ")}.`)
  return kind
}
