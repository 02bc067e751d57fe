/** Tasks by due time, in typed arrays; a task's time can be moved. */
export class DueHeap {
  readonly due: Float64Array
  readonly #heap: Int32Array
  readonly #place: Int32Array
  #size = 0

  constructor(tasks: number) {
    this.due = new Float64Array(tasks)
    this.#heap = new Int32Array(tasks)
    this.#place = new Int32Array(tasks).fill(-1)
  }

  /** The task that is due first; -1 when there is none. */
  get first(): number {
    return this.#size === 0 ? -1 : this.#heap[0]!
  }

  set(task: number, due: number): void {
    const before = this.due[task]!
    this.due[task] = due
    let place = this.#place[task]!
    if (place < 0) {
      place = this.#size++
      this.#up(place, task)
    } else if (due < before) this.#up(place, task)
    else this.#down(place, task)
  }

  #up(place: number, task: number): void {
    const due = this.due[task]!
    while (place > 0) {
      const parent = (place - 1) >> 1
      const other = this.#heap[parent]!
      if (this.due[other]! <= due) break
      this.#heap[place] = other
      this.#place[other] = place
      place = parent
    }
    this.#heap[place] = task
    this.#place[task] = place
  }

  #down(place: number, task: number): void {
    const due = this.due[task]!
    for (;;) {
      let child = 2 * place + 1
      if (child >= this.#size) break
      if (child + 1 < this.#size && this.due[this.#heap[child + 1]!]! < this.due[this.#heap[child]!]!) child++
      const other = this.#heap[child]!
      if (this.due[other]! >= due) break
      this.#heap[place] = other
      this.#place[other] = place
      place = child
    }
    this.#heap[place] = task
    this.#place[task] = place
  }
}
