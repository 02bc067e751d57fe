/**
 * The flexible form of Kafka's requests (KIP-482), which kafkajs does not speak: lengths are one larger than what they count, and headers
 * and structures end in tagged fields, of which we send none.
 */
import { createRequire } from "node:module"
import type { Bytes } from "./kafkajsBatches.ts"
import { type KafkaRequest, requestTimeout } from "./KafkajsProtocol.ts"

const Encoder = createRequire(import.meta.url)("kafkajs/src/protocol/encoder.js") as new () => {
  readonly writeBuffer: (bytes: Buffer) => object
}

export const noTags = Buffer.of(0)

/** A length as it is written in front of texts and lists: seven bits in each byte, the lowest first. */
export const lengthOf = (count: number) => {
  const bytes: Array<number> = []
  let left = count + 1
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80)
  return Buffer.of(...bytes, left)
}
export const textOf = (text: string) => {
  const bytes = Buffer.from(text)
  return Buffer.concat([lengthOf(bytes.length), bytes])
}

export const listOf = <A>(items: ReadonlyArray<A>, bytesOf: (item: A) => Buffer): Buffer =>
  Buffer.concat([lengthOf(items.length), ...items.map(bytesOf)])
export const int16Of = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
export const int32Of = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
export const int64Of = (value: bigint) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return bytes
}

/** The length of a text or a list; -1 for none. */
export const length = (bytes: Bytes): number => {
  let value = 0
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes.take(1)[0]!
    value |= (byte & 0x7f) << shift
    if ((byte & 0x80) === 0) break
  }
  return value - 1
}
export const passText = (bytes: Bytes) => void bytes.take(Math.max(0, length(bytes)))
export const passTags = (bytes: Bytes) => {
  for (let tags = length(bytes) + 1; tags > 0; tags--) {
    length(bytes)
    bytes.take(length(bytes) + 1)
  }
}

export const list = <A>(bytes: Bytes, read: () => A): ReadonlyArray<A> => {
  const items: Array<A> = []
  for (let left = length(bytes); left > 0; left--) items.push(read())
  return items
}

/**
 * A request whose body is made of these parts; its answer, from the tagged fields of its header on, is for `decode`, which returns
 * something: kafkajs looks into it.
 */
export const flexible = <A>(
  request: Omit<KafkaRequest<A>["request"], "encode">,
  body: ReadonlyArray<Buffer>,
  decode: (payload: Buffer) => A
): KafkaRequest<A> => ({
  // The header of the request ends behind the client's name, with tagged fields.
  request: { ...request, encode: () => Promise.resolve(new Encoder().writeBuffer(Buffer.concat([noTags, ...body]))) },
  response: { decode: async (payload) => decode(payload), parse: (answer) => Promise.resolve(answer) },
  requestTimeout
})
