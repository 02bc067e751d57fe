/** Record batches as they lie in Kafka's log and as a broker sends them, made by hand. */
import { gzipSync } from "node:zlib"

export interface HandMadeBatch {
  readonly firstOffset: number
  readonly lastOffset: number
  /** Left out: of no producer that has a number. */
  readonly producerId?: number
  readonly isTransactional?: boolean
  /** A mark of a transaction's end instead of records. */
  readonly mark?: "commit" | "abort"
  /** By their offsets; none as compaction leaves a batch. */
  readonly values?: ReadonlyArray<readonly [offset: number, value: string]>
  readonly codec?: 0 | 1 | 2 | 3 | 4
}

const varint = (value: number) => {
  let zigzag = value < 0 ? -value * 2 - 1 : value * 2
  const bytes: Array<number> = []
  for (; zigzag > 127; zigzag = Math.floor(zigzag / 128)) bytes.push((zigzag % 128) + 128)
  return Buffer.from([...bytes, zigzag])
}

const prefixed = (bytes: Buffer | undefined) =>
  bytes === undefined ? varint(-1) : Buffer.concat([varint(bytes.length), bytes])

const recordOf = (offsetDelta: number, key: Buffer | undefined, value: Buffer | undefined) =>
  prefixed(Buffer.concat([Buffer.from([0]), varint(0), varint(offsetDelta), prefixed(key), prefixed(value), varint(0)]))

export const encodeBatch = (batch: HandMadeBatch): Buffer => {
  const { codec = 0, firstOffset, isTransactional = false, lastOffset, mark, producerId = -1, values = [] } = batch
  const records =
    mark === undefined
      ? values.map(([offset, value]) => recordOf(offset - firstOffset, undefined, Buffer.from(value)))
      : [recordOf(0, Buffer.from([0, 0, 0, mark === "commit" ? 1 : 0]), Buffer.alloc(6))]
  const packed = codec === 1 ? gzipSync(Buffer.concat(records)) : Buffer.concat(records)
  const head = Buffer.alloc(61)
  head.writeBigInt64BE(BigInt(firstOffset), 0)
  head.writeInt32BE(49 + packed.length, 8)
  head.writeInt8(2, 16)
  head.writeInt16BE(codec + (isTransactional || mark !== undefined ? 16 : 0) + (mark === undefined ? 0 : 32), 21)
  head.writeInt32BE(lastOffset - firstOffset, 23)
  head.writeBigInt64BE(1_000n, 27)
  head.writeBigInt64BE(1_000n, 35)
  head.writeBigInt64BE(BigInt(producerId), 43)
  head.writeInt32BE(records.length, 57)
  return Buffer.concat([head, packed])
}

export const encodeBatches = (batches: ReadonlyArray<HandMadeBatch>) => Buffer.concat(batches.map(encodeBatch))
