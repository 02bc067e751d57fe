/**
 * Observations into PostgreSQL: a first load, the same documents again, and again with one value in a hundred corrected,
 * all against a bare `INSERT … SELECT unnest` of as many rows into a table with the same columns and the same index.
 *
 * The bare insert gets columns that are ready to be sent; the store gets messages, as the stage has them. Both commit per
 * batch, on a server that really writes.
 */
import { Effect, Layer, Result } from "effect"
import { SqlClient } from "effect/sql"
import { PgObservationStore } from "../../layers/observations/PgObservationStore.ts"
import { int4s, moments, texts } from "../../layers/postgres/statementArrays.ts"
import { ObservationStore, type StoreMessage, type StoreOutcome } from "../../src/stream/ObservationStore.ts"
import { seriesDocuments } from "../../src/stream/SeriesDocument.ts"
import { BenchDatabase, postgresVersion } from "./BenchPostgres.ts"
import { BenchFailed } from "./BenchProcess.ts"
import type { Figure } from "./Figure.ts"
import { correctedPerBatch, inventedBatch, messagesPerBatch, valuesPerBatch } from "./InventedObservations.ts"
import { perSecond, takeTurns } from "./Measure.ts"
import type { GroupResult } from "./Report.ts"

/** Of one measurement: about 110,000 values. */
const batches = 3
const firstSeenAt = Date.UTC(2026, 3, 1)
const hour = 3_600_000

const nextNumbers = (from: number) => Array.from({ length: batches }, (_, i) => from + i)

/** The columns of a batch, as a program would have them that does nothing but insert. */
const columnsOf = (messages: ReadonlyArray<StoreMessage>, seriesId: number) => {
  const rows = messages.flatMap(({ message, seenAt }, i) => {
    if (message.type === "SITE_DETAILS") return []
    const documents = Result.getOrThrow(seriesDocuments(message, seenAt))
    return documents.flatMap(({ rows }) => rows.map(({ at, value }) => ({ seriesId: seriesId + i, at, value, seenAt })))
  })
  return {
    seriesIds: rows.map(({ seriesId }) => seriesId),
    times: rows.map(({ at }) => at),
    values: rows.map(({ value }) => value),
    seen: rows.map(({ seenAt }) => seenAt)
  }
}

const measured = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const store = yield* ObservationStore
  yield* sql`CREATE TABLE bare_observations (LIKE observations INCLUDING ALL)`

  const insertBare = (columns: ReturnType<typeof columnsOf>) => sql`
    INSERT INTO bare_observations (series_id, observed_at, value, qualifier, quality, first_seen_at)
    SELECT series_id, observed_at, value::numeric, qualifier, quality, seen_at
    FROM unnest(${int4s(columns.seriesIds)}, ${moments(columns.times)}, ${texts(columns.values)}, ${texts([])},
      ${int4s([])}, ${moments(columns.seen)}) AS c (series_id, observed_at, value, qualifier, quality, seen_at)`

  /** Stores all batches; fails unless each does to the table what it should. */
  const load = (
    lists: ReadonlyArray<ReadonlyArray<StoreMessage>>,
    expected: Pick<StoreOutcome, "added" | "corrected">
  ) =>
    perSecond(
      Effect.gen(function* () {
        for (const messages of lists) {
          const { added, corrected } = yield* store.store({ topic: "bench", partition: 0, messages })
          if (added === expected.added && corrected === expected.corrected) continue
          return yield* new BenchFailed({ message: `a batch added ${added} and corrected ${corrected} values` })
        }
        return lists.length * valuesPerBatch
      })
    )

  let offset = 0
  /** As they come from the topic: at offsets of their own, fetched so many hours after the first. */
  const fetched = (lists: ReadonlyArray<ReadonlyArray<StoreMessage>>, hours: number) =>
    lists.map((messages) =>
      messages.map(({ covers, message }) => ({ message, covers, offset: offset++, seenAt: firstSeenAt + hours * hour }))
    )

  let [stored, bare] = [0, 0]
  const viaStore = Effect.gen(function* () {
    const numbers = nextNumbers(stored)
    stored += batches
    const batch = numbers.map((number) => inventedBatch(number))
    const withCorrections = numbers.map((number) => inventedBatch(number, true))
    const first = yield* load(fetched(batch, 0), { added: valuesPerBatch, corrected: 0 })
    const again = yield* load(
      [1, 2, 3, 4, 5].flatMap((hours) => fetched(batch, hours)),
      { added: 0, corrected: 0 }
    )
    const corrected = yield* load(fetched(withCorrections, 6), { added: 0, corrected: correctedPerBatch })
    return { first, again, corrected }
  })
  const viaInsert = Effect.suspend(() => {
    const lists = nextNumbers(bare).map((number) => columnsOf(inventedBatch(number), 1 + number * messagesPerBatch))
    bare += batches
    return perSecond(Effect.as(Effect.forEach(lists, insertBare, { discard: true }), lists.length * valuesPerBatch))
  })

  const turns = yield* takeTurns({ name: "observations", rounds: 7 }, { store: viaStore, bare: viaInsert })
  const common = { unit: "values/s", better: "higher" } as const
  const yardstick = "bare INSERT … unnest"
  const figures: ReadonlyArray<Figure> = [
    {
      ...common,
      name: "first load",
      yardstick,
      targets: [{ of: "figure", bound: 50_000 }],
      rounds: turns.map(({ bare, store }) => ({ figure: store.first, yardstick: bare }))
    },
    {
      ...common,
      name: "the same again",
      yardstick,
      targets: [],
      rounds: turns.map(({ bare, store }) => ({ figure: store.again, yardstick: bare }))
    },
    {
      ...common,
      name: "the same again",
      yardstick: "first load",
      targets: [{ of: "ratio", bound: 10 }],
      rounds: turns.map(({ store }) => ({ figure: store.again, yardstick: store.first }))
    },
    {
      ...common,
      name: "again, 1 % corrected",
      yardstick,
      targets: [],
      rounds: turns.map(({ bare, store }) => ({ figure: store.corrected, yardstick: bare }))
    }
  ]
  return { figures, postgres: yield* postgresVersion } satisfies GroupResult
})

export const benchObservations = Effect.provide(measured, Layer.provideMerge(PgObservationStore, BenchDatabase))
