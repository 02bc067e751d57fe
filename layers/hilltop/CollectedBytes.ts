/**
 * Bytes that arrive in pieces, as one array in the end; how many there may be is for whoever collects them.
 *
 * Many bytes lie in one buffer that grows in place and is freed by hand: its address space is reserved, its memory is not. If
 * pieces were kept, or copied at each growth, they would reach the old generation and stay until the next full collection; and
 * malloc keeps blocks of this size once it has had them.
 */
export class CollectedBytes {
  length = 0
  readonly #small: number
  readonly #most: number
  #pieces: Array<Uint8Array> = []
  #whole: Uint8Array<ArrayBuffer> | undefined

  /** Up to `small` bytes are joined in the end; more than `most` are never added. */
  constructor(small: number, most: number) {
    this.#small = small
    this.#most = most
  }

  add(piece: Uint8Array): void {
    const length = this.length + piece.length
    if (this.#whole === undefined && length > this.#small) {
      this.#whole = new Uint8Array(new ArrayBuffer(this.length, { maxByteLength: this.#most }))
      join(this.#pieces, this.#whole)
      this.#pieces = []
    }
    if (this.#whole === undefined) this.#pieces.push(piece)
    else {
      if (length > this.#whole.length) this.#whole.buffer.resize(Math.min(length + step, this.#most))
      this.#whole.set(piece, this.length)
    }
    this.length = length
  }

  bytes(): Uint8Array {
    const [only, second] = this.#pieces
    if (only !== undefined && second === undefined) return only
    return this.#whole?.subarray(0, this.length) ?? join(this.#pieces, new Uint8Array(this.length))
  }

  /** What `bytes` answered is empty from now on. */
  free(): void {
    this.#whole?.buffer.resize(0)
    this.#whole = undefined
    this.#pieces = []
  }
}

/** Bytes of memory that are taken at a time. */
const step = 1_000_000

/** Writes the pieces into `whole`, one behind the other, and answers it. */
const join = (pieces: ReadonlyArray<Uint8Array>, whole: Uint8Array): Uint8Array => {
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
