/**
 * A GET of a small answer by undici's dispatcher itself, for what is asked hundreds of times a second: the bytes of a 200, the
 * status and the headers of anything else.
 *
 * By way of an HTTP client that has requests, streams and an abort signal of their own, a call of the adapter took twice the
 * processor time. An interruption closes the connection.
 */
import { Data, Effect } from "effect"
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

export const dispatchGet = (
  agent: Dispatcher,
  { headers, longest, origin, path, pause }: GetOptions
): Effect.Effect<Received, DispatchFailed | AnswerTooLong> =>
  Effect.callback((resume) => {
    let controller: Dispatcher.DispatchController | undefined
    let interrupted: Error | undefined
    let received: { readonly status: number; readonly headers: Received["headers"] } | undefined
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
        onResponseStart: (_, status, headers) => {
          if (status < 200) return
          received = { status, headers }
          // What comes with it is read, so that the connection can be used again, but by nobody waited for.
          if (status !== 200) resume(Effect.succeed({ status, headers, body: Buffer.alloc(0) }))
        },
        onResponseData: (underWay, piece) => {
          length += piece.length
          if (length > longest) underWay.abort(tooLong)
          else if (received?.status === 200) pieces.push(piece)
        },
        onResponseEnd: () => {
          if (received?.status !== 200) return
          resume(Effect.succeed({ ...received, body: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces) }))
        },
        onResponseError: (_, cause) =>
          resume(
            Effect.fail(cause === tooLong ? tooLong : new DispatchFailed({ begun: received !== undefined, cause }))
          )
      }
    )
    return Effect.sync(() => {
      interrupted = new Error("nobody waits for the answer any more")
      controller?.abort(interrupted)
    })
  })
