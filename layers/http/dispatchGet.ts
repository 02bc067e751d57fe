/**
 * A GET of a small answer by undici's dispatcher itself, for what is asked hundreds of times a second: the bytes of a 200, the
 * status and the headers of anything else.
 *
 * By way of an HTTP client that has requests, streams and an abort signal of their own, a call of the adapter took twice the
 * processor time. An interruption closes the connection.
 */
import { Data, Deferred, Effect } from "effect"
import type { Dispatcher } from "undici"

/** No answer, or one that had `begun` and did not end. */
export class DispatchFailed extends Data.TaggedError("DispatchFailed")<{
  readonly begun: boolean
  readonly cause: unknown
}> {}
/** The answer has more bytes than were asked for. */
export class AnswerTooLong extends Data.TaggedError("AnswerTooLong")<{}> {}

export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** Empty unless the status is 200. */
  readonly body: Buffer
}

export interface GetOptions {
  readonly origin: string
  readonly path: string
  readonly headers: Record<string, string>
  /** In bytes. */
  readonly longest: number
  /** How long the answer may pause, in milliseconds; whoever wants less time than that interrupts. */
  readonly pause: number
}

/** What comes with another status than 200 is read so long, so that the connection can be used again; then it is closed. */
const longestRest = "1 second"

export const dispatchGet = (
  agent: Dispatcher,
  { headers, longest, origin, path, pause }: GetOptions
): Effect.Effect<Received, DispatchFailed | AnswerTooLong> =>
  Effect.callback((resume) => {
    let controller: Dispatcher.DispatchController | undefined
    let interrupted: Error | undefined
    let received: { readonly status: number; readonly headers: Received["headers"] } | undefined
    const ended = Deferred.makeUnsafe<void>()
    const pieces: Array<Buffer> = []
    let length = 0
    const tooLong = new AnswerTooLong()
    agent.dispatch(
      { method: "GET", origin, path, headers, headersTimeout: pause, bodyTimeout: pause },
      {
        onRequestStart: (begun) => {
          controller = begun
          if (interrupted !== undefined) begun.abort(interrupted)
        },
        onResponseStart: (underWay, status, headers) => {
          if (status < 200) return
          received = { status, headers }
          if (status === 200) return
          const rest = Effect.timeoutOption(Deferred.await(ended), longestRest)
          const close = Effect.sync(() => underWay.abort(new Error("the answer did not end")))
          resume(Effect.as(Effect.ensuring(rest, close), { status, headers, body: Buffer.alloc(0) }))
        },
        onResponseData: (underWay, piece) => {
          length += piece.length
          if (length > longest) underWay.abort(tooLong)
          else if (received?.status === 200) pieces.push(piece)
        },
        onResponseEnd: () => {
          Deferred.doneUnsafe(ended, Effect.void)
          if (received?.status !== 200) return
          resume(Effect.succeed({ ...received, body: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces) }))
        },
        onResponseError: (_, cause) => {
          Deferred.doneUnsafe(ended, Effect.void)
          resume(
            Effect.fail(cause === tooLong ? tooLong : new DispatchFailed({ begun: received !== undefined, cause }))
          )
        }
      }
    )
    return Effect.sync(() => {
      interrupted = new Error("nobody waits for the answer any more")
      controller?.abort(interrupted)
    })
  })
