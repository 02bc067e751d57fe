/**
 * How a body in gzip ends: with its trailer, or else with the end of a document.
 *
 * zlib compares the checksum of a trailer that is there, and is told not to ask for one, since some servers leave it out or send
 * line ends behind it. What breaks off must not pass for whole because of that.
 */
import { Effect, Stream } from "effect"

/** Bytes of what was compressed that show whether it ends as a document does. */
const tailLength = 100
/** Bytes of line ends that are waited with: more of them are something else. */
const mostLineEnds = 100

const isLineEnd = (byte: number | undefined): boolean => byte === 10 || byte === 13 || byte === 9 || byte === 32

/** A tag, and what may stand behind a document. */
const isWhole = (tail: Uint8Array): boolean => />[\s\0]*$/.test(Buffer.from(tail).toString("latin1"))

/** The last bytes of two pieces. */
const lastOf = (before: Uint8Array, piece: Uint8Array, length: number): Uint8Array =>
  piece.length >= length ? piece.slice(-length) : Buffer.concat([before, piece]).subarray(-length)

export class GzipEnd {
  #compressed: Uint8Array = new Uint8Array()
  #tail: Uint8Array = new Uint8Array()
  #length = 0
  #held: Uint8Array = new Uint8Array()

  /** zlib takes what stands behind a trailer for the beginning of more, unless it is nothing but NULs. */
  withoutLineEnds<E, R>(body: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Uint8Array, E, R> {
    return Stream.map(body, (piece) => {
      const all = this.#held.length === 0 ? piece : Buffer.concat([this.#held, piece])
      let end = all.length
      while (end > 0 && all.length - end < mostLineEnds && isLineEnd(all[end - 1])) end--
      this.#held = all.slice(end)
      const given = all.subarray(0, end)
      this.#compressed = lastOf(this.#compressed, given, 4)
      return given
    })
  }

  /** Fails at the end of a body that breaks off: its trailer would say how long it is. */
  checked<E, E2, R>(body: Stream.Stream<Uint8Array, E, R>, damaged: () => E2): Stream.Stream<Uint8Array, E | E2, R> {
    const counted = Stream.map(body, (piece) => {
      this.#length += piece.length
      this.#tail = lastOf(this.#tail, piece, tailLength)
      return piece
    })
    const end = Stream.unwrap(
      Effect.sync(() => (this.#isTrailed() || isWhole(this.#tail) ? Stream.empty : Stream.fail(damaged())))
    )
    return Stream.concat(counted, end)
  }

  #isTrailed(): boolean {
    const [a = 0, b = 0, c = 0, d = 0] = this.#compressed
    return a + b * 256 + c * 65_536 + d * 16_777_216 === this.#length % 4_294_967_296
  }
}
