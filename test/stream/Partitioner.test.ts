/**
 * The vectors are those of Kafka's own `UtilsTest.testMurmur2`; a partition that differs from the Java client's would
 * split a site's history over two partitions.
 */
import { assert, describe, it } from "@effect/vitest"
import { murmur2, partitionOf } from "../../src/stream/Partitioner.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

describe("Partitioner", () => {
  it.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107]
  ])("hashes %s as Kafka does", (text, hash) => {
    assert.strictEqual(murmur2(utf8(text)), hash)
  })

  it("hashes bytes that lie inside a larger buffer", () => {
    assert.strictEqual(murmur2(utf8("..foobar..").subarray(2, 8)), -790332482)
  })

  it("keeps partitions positive and below their number", () => {
    assert.strictEqual(partitionOf("foobar", 64), (-790332482 & 0x7fffffff) % 64)
  })

  // What `Utils.toPositive(Utils.murmur2(utf8)) % n` of kafka-clients 4.2.0 says of these names.
  it.each([
    ["9#Hutt River at Taita Gorge", 58, 10],
    ["9#Tāmaki at Ōtara", 47, 15],
    ["9#Wai 🌊 Bore", 24, 8],
    ["1#http://h.example/a.hts", 63, 15],
    ["", 25, 9],
    ["12#Awa-a-Tāne at  Two  Spaces", 3, 3],
    ["4#R26/6804", 53, 5],
    ["9#https://hilltop.gw.govt.nz/WaterUse.hts", 36, 4],
    ["3#Ngā Pōtiki a Tamapāhore 👩‍🔬", 40, 8],
    ["7#Kaitāia", 0, 0],
    ["7#Ōpōtiki at Bridge ½", 0, 0],
    ["16#日本", 35, 3]
  ])("puts %s where the Java client does", (key, of64, of16) => {
    assert.strictEqual(partitionOf(key, 64), of64)
    assert.strictEqual(partitionOf(key, 16), of16)
  })
})
