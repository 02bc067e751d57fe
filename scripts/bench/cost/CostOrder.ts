/**
 * What a worker of the `cost` group is asked: the whole way of the documents, or one part of it alone.
 *
 * The parts are done with topics of their own and without the loops, so that nothing else works meanwhile.
 */
import { Schema } from "effect"

/** In the order in which a document passes them. */
export const costParts = [
  "fetch",
  "parse",
  "parse and digest",
  "publish the document",
  "read it from the topic",
  "parse it again and map it",
  "map what was parsed",
  "publish the observations"
] as const
export type CostPart = (typeof costParts)[number]

/** Those that a document goes through where one process crawls and maps: the others are parts of these, or done elsewhere. */
export const onTheWay: ReadonlyArray<CostPart> = [
  "fetch",
  "parse and digest",
  "publish the document",
  "read it from the topic",
  "map what was parsed",
  "publish the observations"
]

export const costWorker = {
  program: "scripts/bench/cost/costWorker.ts",
  // On a machine that has much else to do.
  patience: "5 minutes" as const,
  order: Schema.Struct({
    part: Schema.Literals(["crawl", ...costParts]),
    /** Of the server that has the documents. */
    origin: Schema.String,
    documents: Schema.Int
  }),
  answer: Schema.Struct({
    /** Of processor time of the whole process (user and system, all threads) for each document. */
    millis: Schema.Finite,
    seconds: Schema.Finite,
    /** Of `millis`, in which the main thread collected garbage. */
    collecting: Schema.Finite,
    /** The most memory that the process ever had, in megabytes. */
    megabytes: Schema.Finite,
    /** Of the process to Kafka, for each document. */
    requests: Schema.Finite,
    transactions: Schema.Finite
  })
}
