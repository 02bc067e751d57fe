/** The metrics and labels that an expression of PromQL names, by Prometheus's own grammar. */
import { parser } from "@prometheus-io/lezer-promql"

export interface Named {
  readonly metric: string
  readonly labels: ReadonlyArray<string>
}

/** What an expression names; every label that groups stands for all of its metrics. Fails where it is none. */
export const namedIn = (expression: string): ReadonlyArray<Named> => {
  const tree = parser.parse(expression)
  const metrics: Array<{ metric: string; labels: Array<string> }> = []
  const grouped: Array<string> = []
  const text = ({ from, to }: { readonly from: number; readonly to: number }) => expression.slice(from, to)
  tree.iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expression}`)
      if (node.name === "VectorSelector") {
        const name = node.node.getChild("Identifier")
        if (name === null) throw new Error(`a selector without a name: ${expression}`)
        metrics.push({ metric: text(name), labels: [] })
      }
      if (node.name === "LabelName") {
        const isMatcher = node.node.parent?.name.includes("Matcher") === true
        if (isMatcher) metrics.at(-1)?.labels.push(text(node))
        else grouped.push(text(node))
      }
    }
  })
  return metrics.map(({ labels, metric }) => ({ metric, labels: [...new Set([...labels, ...grouped])] }))
}
