/**
 * The due tasks of one server that takes so many requests a second, in the order of the production claim: what waits there is asked
 * later than it is due.
 */
import { type Candidate, firstOf } from "../../../src/crawl/FetchOrder.ts"
import type { DueHeap } from "./DueHeap.ts"
import type { Tasks } from "./simulate.ts"

type Kind = "MEASUREMENT_DATA_LATEST" | "MEASUREMENTS_LIST" | "MEASUREMENT_DATA"

/** In the order in which they became due, which is that of their due times. */
class Line {
  readonly #tasks: Array<number> = []
  #head = 0
  get first(): number | undefined {
    return this.#tasks[this.#head]
  }
  push(task: number): void {
    this.#tasks.push(task)
  }
  shift(): number {
    return this.#tasks[this.#head++]!
  }
}

export interface Turn {
  readonly task: number
  readonly at: number
}

export class ServerQueue {
  readonly #fetched: Uint8Array
  readonly #lines: ReadonlyArray<{ readonly requestType: Kind; readonly isFirst: boolean; readonly line: Line }>
  readonly #tasks: Tasks
  readonly #between: number
  readonly #firstFetchesFirst: boolean
  #freeAt = 0
  #turns = 0
  #waiting = 0

  constructor(tasks: Tasks, perSecond: number, firstFetchesFirst: boolean) {
    this.#tasks = tasks
    this.#between = 1 / perSecond
    this.#firstFetchesFirst = firstFetchesFirst
    this.#fetched = new Uint8Array(tasks.months + tasks.seriesOfMonth.length)
    this.#lines = (["MEASUREMENT_DATA_LATEST", "MEASUREMENTS_LIST", "MEASUREMENT_DATA"] as const).flatMap(
      (requestType) => [true, false].map((isFirst) => ({ requestType, isFirst, line: new Line() }))
    )
  }

  /** The task that is asked next, and when; it leaves the heap until it is set again. */
  next(heap: DueHeap): Turn | undefined {
    const at = this.#waiting > 0 ? this.#freeAt : Math.max(this.#freeAt, heap.due[heap.first]!)
    while (heap.due[heap.first]! <= at) {
      this.#push(heap.first)
      heap.set(heap.first, Infinity)
    }
    if (this.#waiting === 0) return undefined
    const waiting = this.#lines.filter(({ line }) => line.first !== undefined)
    const [chosen] = firstOf(
      waiting.map(({ isFirst, line, requestType }): Candidate & { readonly line: Line } => ({
        requestType,
        turn: isFirst ? 0 : 1,
        lot: 0,
        line
      })),
      this.#turns++,
      1
    )
    this.#waiting--
    this.#freeAt = at + this.#between
    const task = chosen!.line.shift()
    this.#fetched[task] = 1
    return { task, at }
  }

  #push(task: number): void {
    const { lists, months } = this.#tasks
    const requestType: Kind =
      task < lists ? "MEASUREMENT_DATA_LATEST" : task < months ? "MEASUREMENTS_LIST" : "MEASUREMENT_DATA"
    const isFirst = this.#firstFetchesFirst && requestType !== "MEASUREMENTS_LIST" && this.#fetched[task] === 0
    this.#lines.find((one) => one.requestType === requestType && one.isFirst === isFirst)!.line.push(task)
    this.#waiting++
  }
}
