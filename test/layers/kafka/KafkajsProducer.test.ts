/** How records are cut into requests: a broker refuses the whole batch of a partition when it is above the topic's limit. */
import { assert, describe, it } from "@effect/vitest"
import { inRequests } from "../../../layers/kafka/KafkajsProducer.ts"
import { maxMessageBytes, type OutgoingRecord, recordBytes } from "../../../src/stream/KafkaSink.ts"

const record = (partition: number, n: number, bytes: number): OutgoingRecord => ({
  topic: "t",
  partition,
  key: String(n),
  value: "x".repeat(bytes - String(n).length)
})
const cut = (records: ReadonlyArray<OutgoingRecord>) =>
  inRequests(records).map((request) => request.map(({ key }) => key))

describe("requests to Kafka", () => {
  it("hold what is sent together, in its order", () => {
    const records = Array.from({ length: 500 }, (_, n) => record(n % 3, n, 100))
    assert.deepStrictEqual(inRequests(records), [records])
    assert.deepStrictEqual(inRequests([]), [])
  })

  it("are cut where the batch of a partition would be larger than a message may be", () => {
    const half = maxMessageBytes / 2
    assert.deepStrictEqual(cut([record(0, 0, half), record(0, 1, half), record(0, 2, half)]), [["0", "1"], ["2"]])
    assert.deepStrictEqual(cut([record(0, 0, half), record(0, 1, half + 1), record(0, 2, 9)]), [["0"], ["1", "2"]])
    assert.deepStrictEqual(cut([record(0, 0, maxMessageBytes), record(1, 1, 9)]), [["0", "1"]])
  })

  it("are cut where a request would be too large, and keep the order of each partition", () => {
    const records = Array.from({ length: 40 }, (_, n) => record(n % 7, n, 3_000_000))
    const requests = inRequests(records)
    for (const request of requests) {
      const total = request.reduce((sum, one) => sum + recordBytes(one), 0)
      assert.isAtMost(total, 16_000_000)
      for (const list of Map.groupBy(request, ({ partition }) => partition).values()) {
        assert.isAtMost(
          list.reduce((sum, one) => sum + recordBytes(one), 0),
          maxMessageBytes
        )
      }
    }
    assert.deepStrictEqual(requests.flat(), records)
  })
})
