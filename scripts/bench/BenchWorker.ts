/**
 * A child process that takes orders, one line of JSON each, and answers each with another.
 *
 * It lives through all rounds, so that what V8 compiles while it runs is compiled before the first round that counts. The
 * contract stands in a file of its own, since importing the worker's program would run it.
 */
import { type Duration, Effect, Queue, Schema, Stdio, Stream } from "effect"
import { BenchFailed, inRepository, startNode } from "./BenchProcess.ts"

/** What a worker is asked and what it answers: one line of JSON each. */
export interface WorkerContract<
  Order extends Schema.Codec<unknown, unknown>,
  Answer extends Schema.Codec<unknown, unknown>
> {
  /** Of the program, below the repository's root. */
  readonly program: string
  readonly order: Order
  readonly answer: Answer
  /** How long an answer may take; a minute unless said. */
  readonly patience?: Duration.Input
}

/** Starts a worker, with `flags` of Node's; what is returned gives it an order and waits for the answer. One order at a time. */
export const startWorker = Effect.fnUntraced(function* <
  Order extends Schema.Codec<unknown, unknown>,
  Answer extends Schema.Codec<unknown, unknown>
>(
  { answer, order, patience = "1 minute", program }: WorkerContract<Order, Answer>,
  args: ReadonlyArray<string> = [],
  flags: ReadonlyArray<string> = []
) {
  const orders = yield* Queue.unbounded<string>()
  const stdin = Stream.fromQueue(orders).pipe(
    Stream.map((line) => `${line}\n`),
    Stream.encodeText
  )
  const handle = yield* startNode([...flags, inRepository(program), ...args], { stdin })
  const nextLine = yield* handle.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.rechunk(1), Stream.toPull)
  const encode = Schema.encodeEffect(Schema.fromJsonString(order))
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(answer))
  return (one: Order["Type"]): Effect.Effect<Answer["Type"], BenchFailed> =>
    Effect.gen(function* () {
      yield* Queue.offer(orders, yield* encode(one))
      const [line] = yield* nextLine
      return yield* decode(line)
    }).pipe(
      Effect.timeout(patience),
      // What went wrong in there it says itself, on standard error.
      Effect.mapError(() => new BenchFailed({ message: `${program} gave no answer` }))
    )
})

/** The worker's own side: answers every order on its standard input, until that ends. */
export const runWorker = <
  Order extends Schema.Codec<unknown, unknown>,
  Answer extends Schema.Codec<unknown, unknown>,
  E,
  R
>(
  contract: WorkerContract<Order, Answer>,
  work: (order: Order["Type"]) => Effect.Effect<Answer["Type"], E, R>
) =>
  Effect.gen(function* () {
    const stdio = yield* Stdio.Stdio
    const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(contract.order))
    const encode = Schema.encodeEffect(Schema.fromJsonString(contract.answer))
    yield* stdio.stdin.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect((line) => Effect.flatMap(Effect.flatMap(decode(line), work), encode)),
      Stream.map((line) => `${line}\n`),
      Stream.run(stdio.stdout())
    )
  })
