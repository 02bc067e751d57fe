/**
 * What a reader of committed records makes of an answer: hand-made batches with gaps, without records, cut off, of many
 * producers at a time; and a property over whole logs against the plainest model of read_committed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { behind, committedBatches, decodeBatches, type FetchedPartition } from "../../../layers/kafka/kafkajsBatches.ts"
import { encodeBatch, encodeBatches, type HandMadeBatch } from "../../support/recordBatches.ts"

type Aborted = ReadonlyArray<readonly [producerId: number, firstOffset: number]>

const fetched = async (bytes: Buffer, aborted: Aborted = []): Promise<FetchedPartition> => ({
  partition: 0,
  isOutOfRange: false,
  highWatermark: 1_000,
  lastStableOffset: 1_000,
  abortedTransactions: aborted.map(([producerId, firstOffset]) => ({ producerId: BigInt(producerId), firstOffset })),
  ...(await decodeBatches(bytes))
})
const read = async (batches: ReadonlyArray<HandMadeBatch>, aborted: Aborted = []) => {
  const of = await fetched(encodeBatches(batches), aborted)
  return committedBatches(of).flatMap(({ records }) => records.map(({ offset }) => offset))
}
const written = (producerId: number, ...offsets: ReadonlyArray<number>): HandMadeBatch => ({
  firstOffset: offsets[0]!,
  lastOffset: offsets.at(-1)!,
  producerId,
  isTransactional: true,
  values: offsets.map((offset) => [offset, String(offset)])
})
const ended = (producerId: number, offset: number, mark: "commit" | "abort"): HandMadeBatch => ({
  firstOffset: offset,
  lastOffset: offset,
  producerId,
  mark
})

describe("an answer with batches", () => {
  it("goes on behind the last offset of a batch, though compaction took its last records, or all", async () => {
    const compacted = { firstOffset: 0, lastOffset: 9, values: [[3, "x"]] } as const
    assert.strictEqual(behind(await fetched(encodeBatch(compacted)), 0), 10)
    assert.strictEqual(behind(await fetched(encodeBatch(compacted)), 4), 10)
    const empty = { firstOffset: 10, lastOffset: 14 }
    assert.strictEqual(behind(await fetched(encodeBatches([compacted, empty])), 4), 15)
    assert.strictEqual(behind(await fetched(encodeBatches([empty, ended(1, 15, "abort")])), 10), 16)
    assert.deepStrictEqual(await read([compacted, empty]), [3])
  })

  it("ends before a batch that is cut off, and does not move where that is the first", async () => {
    const whole = encodeBatch({ firstOffset: 0, lastOffset: 0, values: [[0, "a"]] })
    const next = encodeBatch({ firstOffset: 1, lastOffset: 1, values: [[1, "b"]] })
    for (let bytes = 0; bytes < next.length; bytes++) {
      const cut = await fetched(Buffer.concat([whole, next.subarray(0, bytes)]))
      assert.strictEqual(behind(cut, 0), 1)
      assert.isUndefined(cut.unreadable)
      assert.strictEqual(behind(await fetched(next.subarray(0, bytes)), 1), 1)
    }
  })

  it("reads up to a batch that cannot be unpacked or is corrupt, and says why", async () => {
    const first = { firstOffset: 0, lastOffset: 0, values: [[0, "a"]], codec: 1 } as const
    for (const [codec, why] of [
      [2, "COMPRESSED_WITH_SNAPPY"],
      [3, "COMPRESSED_WITH_LZ4"]
    ] as const) {
      const of = await fetched(encodeBatches([first, { ...first, firstOffset: 1, lastOffset: 1, codec }]))
      assert.strictEqual(of.unreadable, why)
      assert.strictEqual(behind(of, 0), 1)
    }
    const spoilt = encodeBatch({ firstOffset: 1, lastOffset: 1, values: [[1, "b"]] })
    spoilt.writeInt8(126, 61)
    const of = await fetched(Buffer.concat([encodeBatch(first), spoilt]))
    assert.strictEqual(of.unreadable, "CORRUPT_MESSAGE")
    assert.strictEqual(behind(of, 0), 1)
  })

  it("holds 200,000 records in one batch", async () => {
    const values = Array.from({ length: 200_000 }, (_, offset) => [offset, "v"] as const)
    assert.lengthOf(await read([{ firstOffset: 0, lastOffset: 199_999, values, codec: 1 }]), 200_000)
  })

  it("leaves out what was aborted, however transactions of several producers lie in each other", async () => {
    // Producer 1 begins first and ends last; a broker names aborted transactions in the order in which they ended.
    const log = [written(1, 0, 1), written(2, 2, 3), written(3, 4), ended(2, 5, "abort"), written(2, 6)]
    const later = [ended(3, 7, "commit"), written(1, 8), ended(1, 9, "abort"), ended(2, 10, "commit"), written(1, 11)]
    const aborted = [
      [2, 2],
      [1, 0]
    ] as const
    assert.deepStrictEqual(await read([...log, ...later], aborted), [4, 6, 11])
  })

  it("leaves out two transactions that one batch of another producer lies before and behind", async () => {
    // Both begin within the same batch's reach, so both must be open at once.
    const log = [written(1, 0), written(2, 1), written(9, 2), ended(1, 3, "abort"), ended(2, 4, "abort")]
    const aborted = [
      [1, 0],
      [2, 1]
    ] as const
    assert.deepStrictEqual(await read([...log, ended(9, 5, "commit")], aborted), [2])
  })

  it("leaves out an aborted transaction whose batch compaction has emptied, and what its producer wrote before its end", async () => {
    const log = [{ ...written(1, 0, 1, 2), values: [] }, written(1, 3), ended(1, 4, "abort"), written(1, 5)]
    assert.deepStrictEqual(await read(log, [[1, 0]]), [5])
  })
})

interface Entry {
  readonly batch: HandMadeBatch
  /** Which transaction it belongs to, if any. */
  readonly transaction?: number
}

/** A log: what producers did in some order, what they aborted, and where the first open transaction begins. */
const logOf = (
  steps: ReadonlyArray<readonly [producer: number, what: "write" | "plain" | "commit" | "abort", n: number]>
) => {
  const entries: Array<Entry> = []
  const open = new Map<number, { readonly id: number; readonly first: number }>()
  const aborted: Array<{
    readonly producer: number
    readonly id: number
    readonly first: number
    readonly last: number
  }> = []
  let next = 0
  let transactions = 0
  for (const [producer, what, n] of steps) {
    const offsets = Array.from({ length: n }, (_, i) => next + i)
    if (what === "plain") {
      entries.push({ batch: { ...written(-1, ...offsets), isTransactional: false } })
      next += n
    } else if (what === "write") {
      const current = open.get(producer) ?? { id: transactions++, first: next }
      open.set(producer, current)
      entries.push({ batch: written(producer, ...offsets), transaction: current.id })
      next += n
    } else {
      const current = open.get(producer)
      if (current === undefined) continue
      open.delete(producer)
      entries.push({ batch: ended(producer, next, what) })
      if (what === "abort") aborted.push({ producer, id: current.id, first: current.first, last: next })
      next++
    }
  }
  const stable = Math.min(next, ...[...open.values()].map(({ first }) => first))
  return { entries, aborted, stable }
}

describe("reading committed records", () => {
  it("gives those of committed transactions and of none, once and in order, from any log in any pieces", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(
            fc.integer({ min: 1, max: 4 }),
            fc.constantFrom("write", "write", "write", "plain", "commit", "abort", "abort"),
            fc.integer({ min: 1, max: 3 })
          ),
          { maxLength: 40 }
        ),
        fc.infiniteStream(fc.integer({ min: 1, max: 4 })),
        fc.infiniteStream(fc.integer({ min: 0, max: 4 })),
        async (steps, pieces, compaction) => {
          const { aborted, entries, stable } = logOf(steps as Parameters<typeof logOf>[0])
          const log = entries
            .filter(({ batch }) => batch.lastOffset < stable)
            .map(({ batch, transaction }): Entry => {
              const values = batch.values?.filter(() => compaction.next().value > 0)
              return {
                batch: values === undefined ? batch : { ...batch, values },
                ...(transaction === undefined ? {} : { transaction })
              }
            })
          const gone = new Set(aborted.map(({ id }) => id))
          const expected = log
            .filter(({ transaction }) => transaction === undefined || !gone.has(transaction))
            .flatMap(({ batch }) => (batch.values ?? []).map(([offset]) => offset))
          const found: Array<number> = []
          let at = 0
          while (at < stable) {
            const rest = log.map(({ batch }) => batch).filter(({ lastOffset }) => lastOffset >= at)
            const piece = rest.slice(0, pieces.next().value)
            const end = piece.at(-1)!.lastOffset
            const told = aborted
              .filter(({ first, last }) => first <= end && last >= at)
              .map(({ first, producer }) => [producer, first] as const)
            const of = await fetched(encodeBatches(piece), told)
            for (const { records } of committedBatches(of)) {
              for (const { offset } of records) if (offset >= at) found.push(offset)
            }
            at = behind(of, at)
          }
          assert.deepStrictEqual(found, expected)
        }
      ),
      { numRuns: 200 }
    ))
})
