/**
 * The answer to a fetch as Kafka's own client reads it: batch by batch, with the offsets that each covers.
 *
 * kafkajs keeps the records of an answer and forgets their batches. But compaction leaves the last offset of a batch whose
 * last records it took, or of one without records, and only that says where to go on; and a transaction that was aborted
 * is told by its producer's batches. A batch that cannot be read ends the partition's part of the answer, and nothing else.
 */
import { createRequire } from "node:module"
import { promisify } from "node:util"
import { unzip, zstdDecompress } from "node:zlib"

export interface FetchedRecord {
  readonly offset: number
  /** In milliseconds since 1970. */
  readonly at: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  /** In their order; a name may come twice. */
  readonly headers: ReadonlyArray<readonly [name: string, value: Uint8Array | null]>
}

export interface FetchedBatch {
  /** What follows the batch begins behind this one, whether there is a record at it or not. */
  readonly lastOffset: number
  readonly producerId: bigint
  readonly isTransactional: boolean
  /** It holds a control record, which ends a transaction, instead of records. */
  readonly isControl: boolean
  readonly records: ReadonlyArray<FetchedRecord>
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface FetchedPartition {
  readonly partition: number
  /** The offset that was asked for is not in the log: before its first or behind its last. */
  readonly isOutOfRange: boolean
  /** Behind the last record that all replicas have. */
  readonly highWatermark: number
  /** From here on, a transaction may be open; readers of committed records get nothing. */
  readonly lastStableOffset: number
  readonly abortedTransactions: ReadonlyArray<AbortedTransaction>
  /** Whole ones only. The first may begin before the offset that was asked for. */
  readonly batches: ReadonlyArray<FetchedBatch>
  /** Why the batch that comes next cannot be read; nothing when it can be. */
  readonly unreadable?: string
}

const load = createRequire(import.meta.url)
const { createErrorFromCode } = load("kafkajs/src/protocol/error.js") as {
  readonly createErrorFromCode: (code: number) => Error
}
interface OldMessage {
  readonly offset: string
  readonly timestamp?: string
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}
const KafkajsDecoder = load("kafkajs/src/protocol/decoder.js") as new (bytes: Uint8Array) => object
const decodeOldMessages = load("kafkajs/src/protocol/messageSet/decoder.js") as (
  decoder: object,
  size: number
) => Promise<ReadonlyArray<OldMessage>>

/**
 * A document of 10 MB unpacks to some 250; what unpacks to more is no batch of ours and would take all memory. Unpacked in pieces of as
 * much as most batches hold: of a document of 200 kB, zlib's own 16 kB make thirteen rounds through a thread, in twice the time.
 */
const unpackedAtMost = { maxOutputLength: 1_000_000_000, chunkSize: 262_144 }
const gunzip = promisify<Buffer, object, Buffer>(unzip)
const unzstd = promisify<Buffer, object, Buffer>(zstdDecompress)

class Unreadable extends Error {
  readonly kind: string
  constructor(kind: string) {
    super(kind)
    this.kind = kind
  }
}

/** The kind of a failure that asking again does not help against: what comes next in a partition cannot be read. */
export const isUnreadable = ({ kind }: { readonly kind: string }): boolean =>
  kind.startsWith("COMPRESSED_WITH_") || kind === "TOO_LARGE_UNPACKED" || kind === "CORRUPT_MESSAGE"

const unpack = (codec: number, bytes: Buffer): Promise<Buffer> | Buffer => {
  switch (codec) {
    case 0:
      return bytes
    case 1:
      return gunzip(bytes, unpackedAtMost)
    case 2:
      throw new Unreadable("COMPRESSED_WITH_SNAPPY")
    case 3:
      throw new Unreadable("COMPRESSED_WITH_LZ4")
    case 4:
      return unzstd(bytes, unpackedAtMost)
    default:
      throw new Unreadable(`COMPRESSED_WITH_${codec}`)
  }
}

/** Takes values off bytes, one after the other; a RangeError behind their end. */
export class Bytes {
  readonly #bytes: Buffer
  #at = 0
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  get left() {
    return this.#bytes.length - this.#at
  }
  take(count: number) {
    if (count < 0 || count > this.left) throw new RangeError("cut off")
    return this.#bytes.subarray(this.#at, (this.#at += count))
  }
  int8 = () => this.take(1).readInt8()
  int16 = () => this.take(2).readInt16BE()
  int32 = () => this.take(4).readInt32BE()
  int64 = () => this.take(8).readBigInt64BE()
  offset = () => Number(this.int64())
  text = () => this.take(this.int16()).toString()
  /** As far as a number is exact: 2^53. */
  varint() {
    let zigzag = 0
    for (let factor = 1; ; factor *= 128) {
      if (this.#at >= this.#bytes.length || factor > 2 ** 63) throw new RangeError("cut off")
      const byte = this.#bytes[this.#at++]!
      zigzag += (byte & 127) * factor
      if (byte < 128) break
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
  }
  nullable() {
    const length = this.varint()
    return length === -1 ? null : this.take(length)
  }
  list<A>(read: () => A): ReadonlyArray<A> {
    const list: Array<A> = []
    for (let left = this.int32(); left > 0; left--) list.push(read())
    return list
  }
}

/** The bytes of a batch come after its first offset and their number. */
const outerBytes = 12
const magicAt = 16
const logAppendTime = 8
const transactional = 16
const control = 32

const decodeBatch = async (firstOffset: number, bytes: Bytes): Promise<FetchedBatch> => {
  // The leader's epoch, the format and the checksum.
  bytes.take(9)
  const attributes = bytes.int16()
  const lastOffset = firstOffset + bytes.int32()
  const firstAt = bytes.offset()
  const lastAt = bytes.offset()
  const producerId = bytes.int64()
  // The producer's epoch and its number of the first record.
  bytes.take(6)
  const count = bytes.int32()
  const records: Array<FetchedRecord> = []
  const batch = {
    lastOffset,
    producerId,
    isTransactional: (attributes & transactional) !== 0,
    isControl: (attributes & control) !== 0,
    records
  }
  if (count === 0) return batch
  const packed = bytes.take(bytes.left)
  const unpacked = new Bytes(await unpack(attributes & 7, packed))
  for (let n = 0; n < count; n++) {
    const record = new Bytes(unpacked.take(unpacked.varint()))
    record.int8()
    const later = record.varint()
    const offset = firstOffset + record.varint()
    const key = record.nullable()
    const value = record.nullable()
    const headers: Array<readonly [string, Uint8Array | null]> = []
    for (let left = record.varint(); left > 0; left--) {
      headers.push([record.take(record.varint()).toString(), record.nullable()])
    }
    records.push({ offset, at: (attributes & logAppendTime) === 0 ? firstAt + later : lastAt, key, value, headers })
  }
  return batch
}

/** Of before Kafka 0.11, when a message was its own batch. */
const decodeOld = async (bytes: Buffer): Promise<ReadonlyArray<FetchedBatch>> => {
  const messages = await decodeOldMessages(new KafkajsDecoder(bytes), bytes.length)
  return messages.map(({ key, offset, timestamp = "-1", value }) => ({
    lastOffset: Number(offset),
    producerId: -1n,
    isTransactional: false,
    isControl: false,
    records: [{ offset: Number(offset), at: Number(timestamp), key, value, headers: [] }]
  }))
}

const kindOf = (error: unknown) =>
  error instanceof Unreadable
    ? error.kind
    : error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE"
      ? "TOO_LARGE_UNPACKED"
      : "CORRUPT_MESSAGE"

/** The whole batches in what a broker sent of a partition: it cuts off in the middle of one. */
export const decodeBatches = async (set: Buffer): Promise<Pick<FetchedPartition, "batches" | "unreadable">> => {
  const batches: Array<FetchedBatch> = []
  for (let at = 0; set.length - at > magicAt;) {
    const length = set.readInt32BE(at + 8)
    if (length > set.length - at - outerBytes) break
    try {
      if (set[at + magicAt]! < 2) {
        for (const message of await decodeOld(set.subarray(at, at + outerBytes + length))) batches.push(message)
      } else {
        const bytes = new Bytes(set.subarray(at + outerBytes, at + outerBytes + length))
        batches.push(await decodeBatch(Number(set.readBigInt64BE(at)), bytes))
      }
    } catch (error) {
      return { batches, unreadable: kindOf(error) }
    }
    at += outerBytes + length
  }
  return { batches }
}

const outOfRange = 1

export const failOf = (code: number) => {
  if (code !== 0) throw createErrorFromCode(code)
}

/** The partitions of an answer to version 11 of the request; the first error of one other than its offset's is thrown. */
export const decodeFetched = async (payload: Buffer): Promise<ReadonlyArray<FetchedPartition>> => {
  const bytes = new Bytes(payload)
  // How long the broker would have us wait before the next question: it sees to that itself.
  bytes.int32()
  failOf(bytes.int16())
  // Of the session of fetches, which there is none.
  bytes.int32()
  const partitions: Array<FetchedPartition> = []
  for (let topics = bytes.int32(); topics > 0; topics--) {
    bytes.text()
    for (let count = bytes.int32(); count > 0; count--) {
      const partition = bytes.int32()
      const code = bytes.int16()
      if (code !== outOfRange) failOf(code)
      const highWatermark = bytes.offset()
      const lastStableOffset = bytes.offset()
      // The first offset of the log.
      bytes.int64()
      const abortedTransactions = bytes.list(() => ({ producerId: bytes.int64(), firstOffset: bytes.offset() }))
      // Another replica that would rather be asked.
      bytes.int32()
      const set = bytes.take(Math.max(0, bytes.int32()))
      partitions.push({
        partition,
        isOutOfRange: code === outOfRange,
        highWatermark,
        lastStableOffset,
        abortedTransactions,
        ...(await decodeBatches(set))
      })
    }
  }
  return partitions
}

const abortType = 0

/** Whether the record of a control batch says that its producer's transaction was aborted. */
const isAbort = ({ records }: FetchedBatch) => {
  const key = records[0]?.key
  return key !== undefined && key !== null && key.length >= 4 && Buffer.from(key).readInt16BE(2) === abortType
}

/**
 * The batches whose records a reader of committed records gets. As Kafka's own client does it: a transaction counts as
 * aborted from the batch on that reaches its first offset, for batches of its producer, up to that producer's control record.
 */
export const committedBatches = (of: FetchedPartition): ReadonlyArray<FetchedBatch> => {
  const aborted = of.abortedTransactions.toSorted((a, b) => a.firstOffset - b.firstOffset)
  const producers = new Set<bigint>()
  let begun = 0
  return of.batches.filter((batch) => {
    for (; begun < aborted.length && aborted[begun]!.firstOffset <= batch.lastOffset; begun++) {
      producers.add(aborted[begun]!.producerId)
    }
    if (batch.isControl) {
      if (isAbort(batch)) producers.delete(batch.producerId)
      return false
    }
    return !(batch.isTransactional && producers.has(batch.producerId))
  })
}

/** The offset to go on from after an answer to a question from `from`, which it stays if the answer has no whole batch. */
export const behind = (of: FetchedPartition, from: number): number =>
  Math.max(from, (of.batches.at(-1)?.lastOffset ?? -1) + 1)
