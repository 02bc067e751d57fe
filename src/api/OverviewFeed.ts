/**
 * The overview for all who look at it: one reader of the database an instance, which reads only while somebody looks.
 *
 * A snapshot is put into text once, whoever gets it. Who reads slowly gets the newest when it reads on, and what it missed is kept
 * for nobody.
 */
import { Clock, Context, Duration, Effect, Layer, PubSub, RcRef, Ref, Schema, Semaphore, Stream } from "effect"
import { formatInstant } from "../domain/Instant.ts"
import { describe } from "../running/describe.ts"
import { Loops } from "../running/Loop.ts"
import { stuckLoops } from "../running/stuckLoops.ts"
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import { AdapterClient } from "../sync/AdapterClient.ts"
import { AdapterWatch } from "../sync/AdapterWatch.ts"
import { TopicBrowser, TopicReadings } from "../stream/TopicBrowser.ts"
import { version } from "./Api.ts"
import { DeadLetterMarks } from "./DeadLetterMarks.ts"
import { DueWork } from "./DueWork.ts"
import { describeFlows } from "./flowSentences.ts"
import { Draining } from "./Health.ts"
import { Overview, type StreamsView } from "./Overview.ts"
import { OverviewStore } from "./OverviewStore.ts"
import { boundsOf, type ProgressOptions } from "./Progress.ts"
import { streamFigures, withoutStream } from "./streamFigures.ts"

/** Between two snapshots; also how old one may be that is given out at once. */
export const refreshEvery = Duration.seconds(5)
/** Brokers are asked less often than the database. */
const brokersEvery = Duration.seconds(15)
/** Of a read: then the page is told that there is none. */
const patience = Duration.seconds(4)
const mostStreams = 200
/** A key that was taken away is found out by then. */
const longestStream = Duration.hours(1)

/** So many look already. */
export class TooManyStreams extends Schema.TaggedError<TooManyStreams>()("TooManyStreams", {}) {}

const encodeOverview = Schema.encodeEffect(Schema.fromJsonString(Schema.toCodecJson(Overview)))
const bytes = new TextEncoder()
const eventOf = (event: string, data: string): Uint8Array => bytes.encode(`event: ${event}\ndata: ${data}\n\n`)

export class OverviewFeed extends Context.Service<
  OverviewFeed,
  {
    /** Of now, or of a moment ago. */
    readonly current: Effect.Effect<Overview, StoreUnavailable>
    /** Snapshots as events, as `text/event-stream` has them, until the instance drains or an hour is over. */
    readonly events: Effect.Effect<Stream.Stream<Uint8Array>, TooManyStreams>
  }
>()("penstock/api/OverviewFeed") {
  static readonly layer = (options: ProgressOptions) =>
    Layer.effect(
      OverviewFeed,
      Effect.gen(function* () {
        const bounds = boundsOf(options)
        const store = yield* OverviewStore
        const { configured } = yield* AdapterClient
        const readings = yield* TopicReadings
        const due = yield* DueWork
        const { uselessFor } = yield* AdapterWatch
        const loops = yield* Loops
        const draining = yield* Draining
        const browser = yield* TopicBrowser
        const marks = yield* DeadLetterMarks
        const turn = yield* Semaphore.make(1)
        const watching = yield* Ref.make(0)
        let streams: { readonly at: number; readonly view: StreamsView } | undefined
        let last: { readonly at: number; readonly overview: Overview } | undefined
        let isTold = false

        const readStreams = Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          const isFresh = streams !== undefined && now - streams.at < Duration.toMillis(brokersEvery)
          if (browser.isKafka && isFresh && streams !== undefined) return streams.view
          const view = yield* streamFigures.pipe(
            Effect.provideService(TopicBrowser, browser),
            Effect.provideService(DeadLetterMarks, marks),
            Effect.provideService(TopicReadings, readings),
            Effect.timeout("2 seconds"),
            Effect.catch(() => Effect.succeed(withoutStream(streams?.view, browser.isKafka)))
          )
          streams = { at: now, view }
          return view
        })
        const read = Effect.gen(function* () {
          const at = yield* Clock.currentTimeMillis
          const { accounting_points: points, ...others } = yield* store.read
          const figures = {
            ...others,
            accounting_points: { ...points, configured, adapter: { ...points.adapter, configured } }
          }
          const waiting = yield* due.waiting
          const stuck = yield* Effect.provideService(stuckLoops, Loops, loops)
          const view = yield* readStreams
          const useless = { bound: options.useless, adapterSeconds: (yield* uselessFor) / 1000 }
          const flows = describeFlows({ at, ...figures, streams: view, waiting, bounds, useless, stuck: stuck.sort() })
          return { at, version, flows, streams: view, ...figures } satisfies Overview as Overview
        })
        /** One at a time, and what is fresh is not read again. */
        const current = turn.withPermit(
          Effect.gen(function* () {
            const now = yield* Clock.currentTimeMillis
            if (last !== undefined && now - last.at < Duration.toMillis(refreshEvery) * 0.8) return last.overview
            const overview = yield* read
            last = { at: now, overview }
            return overview
          })
        )
        const noneNow = Effect.map(Clock.currentTimeMillis, (now) =>
          eventOf("unavailable", JSON.stringify({ at: formatInstant(now), detail: "the database does not answer" }))
        )
        const event = current.pipe(
          Effect.flatMap(encodeOverview),
          Effect.map((text) => eventOf("overview", text)),
          Effect.timeout(patience),
          Effect.tap(() => Effect.sync(() => void (isTold = false))),
          Effect.catchCause((cause) => {
            const line = isTold ? Effect.void : Effect.logWarning("overview: it cannot be read", describe(cause))
            isTold = true
            return Effect.andThen(line, noneNow)
          })
        )
        /** Alive while somebody looks. */
        const broadcast = yield* RcRef.make({
          acquire: Effect.gen(function* () {
            const hub = yield* PubSub.sliding<Uint8Array>({ capacity: 1, replay: 1 })
            yield* Effect.forkScoped(
              Effect.forever(
                Effect.andThen(
                  Effect.flatMap(event, (one) => PubSub.publish(hub, one)),
                  Effect.sleep(refreshEvery)
                )
              )
            )
            return hub
          })
        })
        const end = (reason: string) => Stream.make(eventOf("end", JSON.stringify({ reason })))

        const events = Effect.gen(function* () {
          if ((yield* Ref.get(watching)) >= mostStreams) return yield* new TooManyStreams()
          const expired = Effect.as(Effect.sleep(longestStream), "expired")
          const ended = Effect.raceFirst(Effect.as(draining.awaited, "shutting-down"), expired)
          const reason = yield* Ref.make("expired")
          const snapshots = Stream.unwrap(
            Effect.gen(function* () {
              yield* Effect.acquireRelease(
                Ref.update(watching, (n) => n + 1),
                () => Ref.update(watching, (n) => n - 1)
              )
              return Stream.fromPubSub(yield* RcRef.get(broadcast))
            })
          ).pipe(Stream.interruptWhen(Effect.flatMap(ended, (why) => Ref.set(reason, why))))
          return Stream.make(bytes.encode("retry: 2000\n\n")).pipe(
            Stream.concat(snapshots),
            Stream.concat(Stream.unwrap(Effect.map(Ref.get(reason), end)))
          )
        })
        return OverviewFeed.of({ current, events })
      })
    )
}
