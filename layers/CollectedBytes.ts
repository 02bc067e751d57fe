/**
 * Bytes that arrive in pieces, as one array in the end.
 *
 * A place is made for all of them once something shows that they are many: as long as the server said, else twice what is
 * there. Kept pieces would be old by then, and stay in memory beside their copy until the next full collection; for the
 * same reason the place is freed by hand when the answer is done with.
 */
export class CollectedBytes {
  length = 0
  readonly #small: number
  readonly #expected: number
  #pieces: Array<Uint8Array> = []
  #whole: Uint8Array<ArrayBuffer> | undefined

  /** Up to `small` bytes are joined in the end; `expected` is what the server announced, if it did. */
  constructor(small: number, expected: number) {
    this.#small = small
    this.#expected = expected
  }

  add(piece: Uint8Array): void {
    const length = this.length + piece.length
    if (this.#whole === undefined ? length > this.#small : length > this.#whole.length) {
      this.#whole = this.#moved(length <= this.#expected ? this.#expected : 2 * length)
    }
    if (this.#whole === undefined) this.#pieces.push(piece)
    else this.#whole.set(piece, this.length)
    this.length = length
  }

  bytes(): Uint8Array {
    return this.#whole?.subarray(0, this.length) ?? this.#moved(this.length)
  }

  /** What `bytes` answered is empty from now on. */
  free(): void {
    this.#whole?.buffer.transfer(0)
    this.#whole = undefined
    this.#pieces = []
  }

  #moved(size: number): Uint8Array<ArrayBuffer> {
    const moved = new Uint8Array(size)
    let at = 0
    for (const piece of this.#whole === undefined ? this.#pieces : [this.#whole.subarray(0, this.length)]) {
      moved.set(piece, at)
      at += piece.length
    }
    this.free()
    return moved
  }
}
