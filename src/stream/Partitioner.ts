/**
 * Kafka's default partitioner, on embedded topics as well, so that a key lands where the Java client would put it.
 *
 * The string that is hashed is ours, not the record's key, which is JSON and carries more: `rawPartitionKey` (`HilltopMessage`) and
 * `observationPartitionKey` (`Observation`) make it, beside the numbers of partitions. Dead letters have one partition. All
 * arithmetic is on 32-bit integers: `Math.imul` and `| 0` are what Java does by itself.
 */
const SEED = 0x9747b28c
const M = 0x5bd1e995

const encoder = new TextEncoder()

/** 32-bit murmur2 as `org.apache.kafka.common.utils.Utils.murmur2`, a signed integer. */
export const murmur2 = (data: Uint8Array): number => {
  const whole = data.length & ~3
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let h = SEED ^ data.length
  for (let at = 0; at < whole; at += 4) {
    let k = Math.imul(view.getInt32(at, true), M)
    k ^= k >>> 24
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const rest = data.length - whole
  if (rest === 3) h ^= data[whole + 2]! << 16
  if (rest >= 2) h ^= data[whole + 1]! << 8
  if (rest >= 1) h = Math.imul(h ^ data[whole]!, M)
  h ^= h >>> 13
  h = Math.imul(h, M)
  return (h ^ (h >>> 15)) | 0
}

/** The partition of a key: `toPositive(murmur2(utf8)) % partitions`. A lone surrogate hashes as U+FFFD. */
export const partitionOf = (key: string, partitions: number): number =>
  (murmur2(encoder.encode(key)) & 0x7fffffff) % partitions
