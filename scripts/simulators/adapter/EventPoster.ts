/**
 * Tells a Penstock by thin events what changed in the world, in batches, until each batch is taken.
 *
 * What is still to be told is only a moment, since the changes after it can be listed again: a receiver that is down for
 * a day costs no memory here. Plain and CloudEvents batches take turns, and single events go out in their single forms,
 * so that a receiver meets all four. Events carry our time, not virtual time, which may lie in the future.
 */
import { Clock, Duration, Effect, Option, Schedule, Schema } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { seeded, type SeedKey } from "../SeededRandom.ts"
import type { AdapterTally } from "./AdapterStatistics.ts"
import { gsrnOf } from "./InventedNumbers.ts"
import type { LivingWorld, PointChange } from "./LivingWorld.ts"

export interface EventOptions {
  /** Where Penstock is, for example `http://127.0.0.1:8080`. */
  readonly url: string
  /** Its event key. */
  readonly key: string
  /** How often what changed is told; every second unless said. */
  readonly every?: Duration.Input
  /** Events in one request, at most 1,000; 100 unless said. */
  readonly batchSize?: number
  /** The probability that an event is sent twice. */
  readonly duplicates?: number
  /** The probability that an event is followed by an older one about the same point. */
  readonly late?: number
}

/** The receiver did not take a batch; `status` is missing when there was no answer. */
export class EventsNotTaken extends Schema.TaggedError<EventsNotTaken>()("EventsNotTaken", {
  status: Schema.optionalKey(Schema.Int),
  retryAfter: Schema.optionalKey(Schema.Finite),
  cause: Schema.optionalKey(Schema.Defect())
}) {}

export interface EventPoster {
  /** Tells everything that changed since the last pass. Returns once all of it was taken, or refused for good. */
  readonly runOnce: Effect.Effect<void>
  /** Passes for ever, at the interval that was asked for. */
  readonly run: Effect.Effect<never>
}

/** A poster that begins with the changes after this moment. */
export const eventPoster = Effect.fnUntraced(function* (
  seed: SeedKey,
  world: LivingWorld,
  tally: AdapterTally,
  options: EventOptions
): Effect.fn.Return<EventPoster, never, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const address = new URL("/accounting_point/event", options.url)
  const size = Math.min(options.batchSize ?? 100, 1_000)
  let told = yield* Clock.currentTimeMillis
  let toldOrdered = world.ordered().length
  let batches = 0

  const post = Effect.fnUntraced(function* (changes: ReadonlyArray<PointChange>) {
    const batch = batches++
    const events = withEchoes(changes, options, seed, batch)
    const request = HttpClientRequest.post(address).pipe(
      HttpClientRequest.bearerToken(options.key),
      HttpClientRequest.bodyText(...encoded(events, batch))
    )
    const answer = yield* client.execute(request).pipe(
      Effect.flatMap((response) => Effect.map(response.text, (text) => ({ response, text }))),
      Effect.timeout("10 seconds"),
      Effect.mapError((cause) => new EventsNotTaken({ cause })),
      Effect.flatMap(({ response, text }) =>
        response.status < 300 ? Effect.succeed(text) : Effect.fail(notTaken(response.status, response.headers))
      ),
      Effect.tapError(() => Effect.sync(() => tally.events.retries++)),
      Effect.retry({ while: mayBeTakenLater, schedule: patiently }),
      Effect.option
    )
    tally.events.batches++
    if (Option.isNone(answer)) {
      tally.events.refused += events.length
      return yield* Effect.logWarning("The receiver refuses thin events; they are left out")
    }
    tally.events.posted += events.length
    const counts = Option.getOrElse(decodeReceipt(answer.value), () => ({ recorded: 0, stale: 0, unknown: 0 }))
    tally.events.recorded += counts.recorded
    tally.events.stale += counts.stale
    tally.events.unknown += counts.unknown
  })

  const tell = Effect.fnUntraced(function* (changes: Iterable<PointChange>) {
    let batch: Array<PointChange> = []
    for (const change of changes) {
      if (batch.push(change) < size) continue
      yield* post(batch)
      batch = []
    }
    if (batch.length > 0) yield* post(batch)
  })

  const runOnce = Effect.gen(function* () {
    const ordered = world.ordered()
    const fresh = ordered.slice(toldOrdered)
    yield* tell(fresh)
    toldOrdered += fresh.length
    const now = yield* Clock.currentTimeMillis
    yield* tell(world.changesBetween(told, now))
    told = now
  })
  const run = runOnce.pipe(
    Effect.catchDefect((defect) => Effect.logError("Telling of changes failed", defect)),
    Effect.repeat(Schedule.spaced(options.every ?? "1 second")),
    Effect.andThen(Effect.never)
  )
  return { runOnce, run }
})

/** From 200 ms to 5 s between tries, for ever, and never sooner than the receiver asked for. */
const patiently = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered,
  Schedule.setInputType<EventsNotTaken>(),
  Schedule.modifyDelay(({ duration, input }) =>
    Effect.succeed(Duration.max(duration, Duration.seconds(input.retryAfter ?? 0)))
  )
)

const mayBeTakenLater = ({ status }: EventsNotTaken): boolean =>
  status === undefined || status === 408 || status === 429 || status >= 500

const notTaken = (status: number, headers: Readonly<Record<string, string | undefined>>): EventsNotTaken => {
  const seconds = Number(headers["retry-after"] ?? 0)
  return new EventsNotTaken({ status, ...(seconds > 0 ? { retryAfter: seconds } : {}) })
}

const decodeReceipt = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ recorded: Schema.Int, stale: Schema.Int, unknown: Schema.Int }))
)

/** The batch with its duplicates and with old news among it, as often as asked for. */
const withEchoes = (
  changes: ReadonlyArray<PointChange>,
  { duplicates = 0, late = 0 }: EventOptions,
  seed: SeedKey,
  batch: number
): ReadonlyArray<PointChange> => {
  const random = seeded(seed, "echoes", batch)
  return changes
    .flatMap((change) => [
      change,
      ...(random.chance(duplicates) ? [change] : []),
      ...(random.chance(late) ? [{ index: change.index, at: change.at - random.int(60_000, 86_400_000) }] : [])
    ])
    .slice(0, 1_000)
}

/** The body of a request and its content type, in the form whose turn it is. */
const encoded = (events: ReadonlyArray<PointChange>, batch: number): readonly [body: string, contentType: string] => {
  const single = events.length === 1
  if (batch % 2 === 0) {
    const plain = events.map(({ index, at }) => ({ gsrn: gsrnOf(index), occurred_at: new Date(at).toISOString() }))
    return [JSON.stringify(single ? plain[0] : plain), "application/json"]
  }
  const cloud = events.map(({ index, at }, place) => ({
    specversion: "1.0",
    id: `${batch}-${place}`,
    source: "/simulated/datahub",
    type: "accounting_point.changed",
    subject: gsrnOf(index),
    time: new Date(at).toISOString()
  }))
  return [
    JSON.stringify(single ? cloud[0] : cloud),
    single ? "application/cloudevents+json" : "application/cloudevents-batch+json"
  ]
}
