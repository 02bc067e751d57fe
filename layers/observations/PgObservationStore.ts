/**
 * Observations in PostgreSQL, a whole batch at a time, in one transaction with the offset it was read at.
 *
 * Days of values that come again are known by their digests and cost no look at them; others are compared within the
 * database, and only what is new or different is sent to be written. Documents about the same month of a series are
 * stored in rounds, one after another, so that a batch ends as its messages one by one would.
 */
import { Effect, Layer, Result, type Types } from "effect"
import { SqlClient } from "effect/sql"
import {
  BatchRefused,
  nothingStored,
  ObservationStore,
  type StoreBatch,
  type StoreMessage,
  type StoreOutcome
} from "../../src/stream/ObservationStore.ts"
import { gridRank, movesSite, type Placed } from "../../src/domain/Grid.ts"
import { documentsBefore } from "../../src/stream/ObservationRebuild.ts"
import { identityOf, type SeriesDocument, seriesDocuments } from "../../src/stream/SeriesDocument.ts"
import { daysOf, parseDigests } from "./dayDigests.ts"
import {
  isLate,
  isOfAnother,
  knownMonth,
  mayBeShared,
  type Month,
  newMonth,
  noteStored,
  partsOf,
  type Work
} from "./monthsOfBatch.ts"
import {
  type MonthName,
  type MonthTable,
  frontierOf,
  observationStatements,
  rawOffsetsOf,
  type SeriesName,
  type SiteLocation,
  type SiteName
} from "./observationStatements.ts"
import { monthBounds } from "../../src/hilltop/Nzst.ts"
import { monthShapes } from "./monthShapes.ts"
import { tableOfMonth } from "./observationYears.ts"
import { packStatements } from "./packStatements.ts"
import { refusedData } from "./refusedData.ts"
import { makeSeriesChanges, type SeriesChanges } from "./seriesChanges.ts"
import { nothingCombined, strandStatements } from "./strandStatements.ts"
import { spanWhereTraced } from "../../src/running/spanWhereTraced.ts"
import { mapSqlFailure } from "../postgres/sqlFailures.ts"
import { unhurried } from "../postgres/unhurried.ts"
import { writeYear } from "./writeYear.ts"
import { StoreUnavailable } from "../../src/domain/StoreUnavailable.ts"

const storeFailure = mapSqlFailure((cause) => {
  const reason = refusedData(cause)
  return reason === undefined ? new StoreUnavailable({ cause }) : new BatchRefused({ reason })
})

const seriesKey = ({ inUnits, item, measurement, measurementName, siteId }: SeriesName) =>
  JSON.stringify([siteId, measurementName, measurement, item, inUnits])
const monthKey = ({ seriesId, yearMonth }: MonthName) => `${seriesId} ${yearMonth}`

/** Whether a rebuild has read the document of the message, before what is new came through the topic. */
const isRebuilt = (
  { seenAt, source }: StoreMessage,
  rebuilt: ReadonlyMap<number, { readonly next: number; readonly ended_at: number }>
): boolean => {
  const read = source && rebuilt.get(source.partition)
  return read !== undefined && source!.offset < documentsBefore(read.next) && (source!.at ?? seenAt) <= read.ended_at
}

/** Of each raw partition the last offset that messages came from, with those known before; lower in a topic made anew. */
const lastSources = (messages: ReadonlyArray<StoreMessage>, known: Readonly<Record<string, number>>) => {
  const last: Record<string, number> = { ...known }
  for (const { source } of messages) {
    if (source !== undefined) last[source.partition] = source.offset
  }
  return last
}

const siteKey = ({ councilId, siteName }: SiteName) => JSON.stringify([councilId, siteName])

const placed = ({ details, seenAt }: SiteLocation): Placed => ({
  at: seenAt,
  rank: gridRank(details),
  source: details.source ?? ""
})

/** The last known location of each site in the batch. */
const locationsOf = (messages: ReadonlyArray<StoreMessage>): ReadonlyArray<SiteLocation> => {
  const locations = new Map<string, SiteLocation>()
  for (const { message, seenAt } of messages) {
    if (message.type !== "SITE_DETAILS") continue
    if (message.location === null && message.geographicLocation === undefined) continue
    const key = siteKey(message)
    const known = locations.get(key)
    const next = { details: message, seenAt }
    if (known === undefined || movesSite(placed(known), placed(next))) locations.set(key, next)
  }
  return [...locations.values()]
}

/** Distinct things by their key, in the order they first come. */
const distinct = <A>(list: Iterable<A>, keyOf: (one: A) => string): ReadonlyMap<string, A> => {
  const found = new Map<string, A>()
  for (const one of list) {
    const key = keyOf(one)
    if (!found.has(key)) found.set(key, one)
  }
  return found
}

export const PgObservationStore: Layer.Layer<ObservationStore, never, SqlClient.SqlClient> = Layer.effect(
  ObservationStore,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const statements = observationStatements(sql)
    const shapes = monthShapes(sql)
    const { unpack } = packStatements(sql)

    /** Ids of named things, in the order of the names; those that are not there yet are added. */
    const idsOf = Effect.fnUntraced(function* <Name, E, E2>(
      names: ReadonlyArray<Name>,
      find: (names: ReadonlyArray<Name>) => Effect.Effect<ReadonlyArray<{ position: number; id: number }>, E>,
      add: (names: ReadonlyArray<Name>) => Effect.Effect<unknown, E2>
    ) {
      const found = yield* find(names)
      const there = new Set(found.map(({ position }) => position))
      if (there.size < names.length) yield* add(names.filter((_, position) => !there.has(position)))
      const all = there.size < names.length ? yield* find(names) : found
      return new Map(all.map(({ id, position }) => [position, id]))
    })

    const keepSites = Effect.fnUntraced(function* (messages: ReadonlyArray<StoreMessage>) {
      const sites = distinct(
        messages.map(({ message }): SiteName => message),
        siteKey
      )
      const ids = yield* idsOf([...sites.values()], statements.findSites, statements.addSites)
      const locations = locationsOf(messages)
      if (locations.length > 0) yield* statements.locateSites(locations)
      return new Map([...sites.keys()].map((key, position) => [key, ids.get(position)!]))
    })

    const keepSeries = Effect.fnUntraced(function* (
      documents: ReadonlyArray<SeriesDocument>,
      siteIds: ReadonlyMap<string, number>
    ) {
      const nameOf = ({ message }: SeriesDocument): SeriesName => ({
        siteId: siteIds.get(siteKey(message))!,
        ...identityOf(message)
      })
      const series = distinct(documents.map(nameOf), seriesKey)
      /** By id, until when values of the series may be packed. */
      const packedUntil = new Map<number, number>()
      const lockSeries = (names: ReadonlyArray<SeriesName>) =>
        Effect.tap(statements.lockSeries(names), (found) =>
          Effect.sync(() => {
            for (const { id, packed_until } of found) if (packed_until !== null) packedUntil.set(id, packed_until)
          })
        )
      const ids = yield* idsOf([...series.values()], lockSeries, statements.addSeries)
      const byKey = new Map([...series.keys()].map((key, position) => [key, ids.get(position)!]))
      return { seriesIdOf: (document: SeriesDocument) => byKey.get(seriesKey(nameOf(document)))!, packedUntil }
    })

    /** What documents change is written to rows: packs of the months become rows first. Where they say nothing new it stays packed. */
    const unpackChanging = Effect.fnUntraced(function* (
      works: ReadonlyArray<Work>,
      packedUntil: ReadonlyMap<number, number>
    ) {
      const changing = works.filter(
        (work) =>
          monthBounds(work.document.yearMonth)!.from <
            (packedUntil.get(work.month.seriesId) ?? Number.NEGATIVE_INFINITY) &&
          (work.month.frontier === undefined || mayBeShared(work) || partsOf(work).length > 0)
      )
      for (const [table, some] of Map.groupBy(changing, ({ document }) => tableOfMonth(document.yearMonth))) {
        const months = distinct(
          some.map(({ month }) => month),
          monthKey
        )
        yield* unpack(
          table,
          [...months.values()].map(({ seriesId, yearMonth }) => ({ seriesId, ...monthBounds(yearMonth)! }))
        )
      }
    })

    /** What is known of the months. */
    const recall = Effect.fnUntraced(function* (months: ReadonlyArray<Month>, table?: MonthTable) {
      const { found, unreadable } = yield* statements.findMonths(months, table)
      if (unreadable.length > 0) return yield* new BatchRefused({ reason: "what is known of its month cannot be read" })
      for (const known of found) {
        const month = months[known.position]!
        month.frontier = frontierOf(known)
        month.source = known.source
        month.isShared = known.is_shared
        month.digests.push(...parseDigests(known.day_digests))
      }
    })

    /** The documents with their months, in rounds: of the documents about one month each is in a round of its own. */
    const inRounds = Effect.fnUntraced(function* (
      documents: ReadonlyArray<SeriesDocument>,
      seriesIdOf: (document: SeriesDocument) => number
    ) {
      const months = distinct(
        documents.map((document): Month => newMonth({ seriesId: seriesIdOf(document), yearMonth: document.yearMonth })),
        monthKey
      )
      const list = [...months.values()]
      yield* recall(list)
      const rounds: Array<Array<Work>> = []
      for (const document of documents) {
        const month = months.get(monthKey({ seriesId: seriesIdOf(document), yearMonth: document.yearMonth }))!
        ;(rounds[month.documents++] ??= []).push({ document, days: daysOf(document), month })
      }
      return { rounds, months: list }
    })

    /**
     * Stores a document about a month that another source tells of as well: beside what that one says, and then the series is made
     * of both, from the first day that is not as before to the last.
     */
    const storeShared = Effect.fnUntraced(function* (work: Work) {
      const { document, month } = work
      const { seriesId, yearMonth } = month
      const { addStrands, combine, copyToStrand } = strandStatements(sql, tableOfMonth(yearMonth))
      const source = document.message.source ?? month.source
      const strands = yield* addStrands(seriesId, [...new Set([month.source, source])])
      const ids = new Map(strands.map((one) => [one.source, one.id]))
      if (!month.isShared) {
        const strandId = ids.get(month.source)!
        yield* copyToStrand(seriesId, strandId, monthBounds(yearMonth)!)
        yield* statements.keepMonths(knownMonth({ ...month, seriesId: strandId }), "observation_strand_months")
        month.isShared = true
      }
      const strand = newMonth({ seriesId: ids.get(source)!, yearMonth }, source)
      yield* recall([strand], "observation_strand_months")
      const own: Work = { ...work, month: strand }
      const changed = strand.frontier === undefined ? [document.covers] : partsOf(own).map(({ part }) => part)
      const { overruled } =
        changed.length > 0 ? yield* writeYear(sql, "observation_strand_values", [own]) : { overruled: 0 }
      const late = isLate(own)
      noteStored(own)
      yield* statements.keepMonths(knownMonth(strand), "observation_strand_months")
      const [first, last] = [changed[0], changed.at(-1)]
      if (first !== undefined) month.isChanged = true
      const combined =
        first === undefined || last === undefined
          ? nothingCombined
          : yield* combine(seriesId, strands, { from: first.from, until: last.until })
      return { ...combined, overruled, late }
    })

    /** Stores documents about different months; `changes` takes down what becomes of the series. */
    const storeRound = Effect.fnUntraced(function* (
      round: ReadonlyArray<Work>,
      changes: SeriesChanges,
      outcome: Types.Mutable<StoreOutcome>
    ) {
      const own = round.filter((work) => !isOfAnother(work))
      const years = Map.groupBy(own, ({ document }) => tableOfMonth(document.yearMonth))
      for (const [table, works] of years) {
        const { added, corrected, overruled, removed } = yield* writeYear(sql, table, works)
        outcome.added += added.length
        outcome.corrected += corrected
        outcome.removed += removed.length
        outcome.overruled += overruled
        for (const work of works) {
          if (!isLate(work)) changes.noteUnits(work)
          work.month.source ||= work.document.message.source ?? ""
          noteStored(work)
        }
        for (const { row, seenAt, seriesId } of added) changes.noteAdded(seriesId, row.at, seenAt)
        for (const { seriesId } of removed) changes.noteRemoved(seriesId, 1)
      }
      for (const work of round.filter((one) => !own.includes(one))) {
        const { added, corrected, late, overruled, removed } = yield* storeShared(work)
        outcome.added += added.length
        outcome.corrected += corrected
        outcome.removed += removed.length
        outcome.overruled += overruled
        if (!late) changes.noteUnits(work)
        for (const at of added) changes.noteAdded(work.month.seriesId, at, work.document.seenAt)
        changes.noteRemoved(work.month.seriesId, removed.length)
      }
    })

    const storeFresh = Effect.fnUntraced(function* (messages: ReadonlyArray<StoreMessage>) {
      const documents: Array<SeriesDocument> = []
      for (const { covers, message, seenAt } of messages) {
        if (message.type === "SITE_DETAILS") continue
        const split = seriesDocuments(message, seenAt, covers)
        if (Result.isFailure(split)) return yield* new BatchRefused({ reason: split.failure })
        for (const document of split.success) documents.push(document)
      }
      const siteIds = yield* keepSites(messages)
      if (documents.length === 0) return nothingStored
      const { packedUntil, seriesIdOf } = yield* keepSeries(documents, siteIds)
      const { months, rounds } = yield* inRounds(documents, seriesIdOf)
      if (packedUntil.size > 0) yield* unpackChanging(rounds.flat(), packedUntil)
      const changes = makeSeriesChanges()
      // Whose only values will be those of one document of the batch.
      const shaped = (rounds[0] ?? []).filter(({ month }) => month.frontier === undefined && month.documents === 1)
      const outcome = { ...nothingStored }
      for (const round of rounds) yield* storeRound(round, changes, outcome)
      yield* statements.keepMonths(months.flatMap(knownMonth))
      yield* shapes.keep(
        shaped.map(({ document: { rows, seenAt }, month: { seriesId, yearMonth } }) => ({
          seriesId,
          yearMonth,
          seenAt,
          rows
        }))
      )
      yield* statements.changeSeries(changes.all())
      const shortened = changes.all().filter(({ removed }) => removed > 0)
      if (shortened.length > 0) yield* statements.findEnds(shortened.map(({ seriesId }) => seriesId))
      return outcome
    })

    /** Topics whose offsets have their name, so that it is asked once: whoever kept them under another one is gone. */
    const renamed = new Set<string>()
    const store = Effect.fnUntraced(
      function* ({ formerTopic, messages, partition, topic }: StoreBatch) {
        if (formerTopic !== undefined && !renamed.has(topic)) yield* statements.renameOffsets(formerTopic, topic)
        const last = messages.at(-1)
        if (last === undefined) return nothingStored
        const [position] = yield* statements.lockOffset(topic, partition)
        const rebuilt = new Map((yield* statements.findRebuilt).map((one) => [one.partition, one]))
        const fresh = messages.filter(
          (message) => message.offset >= (position?.next ?? 0) && !isRebuilt(message, rebuilt)
        )
        if (fresh.length === 0) return nothingStored
        const outcome = yield* storeFresh(fresh)
        yield* statements.moveOffset(
          topic,
          partition,
          last.offset + 1,
          lastSources(fresh, rawOffsetsOf(position?.raw_offsets))
        )
        return outcome
      },
      unhurried(sql, 30, 10),
      (stored, { formerTopic, topic }) =>
        Effect.tap(stored, () => Effect.sync(() => formerTopic !== undefined && renamed.add(topic))),
      storeFailure,
      spanWhereTraced("ObservationStore.store")
    )

    return ObservationStore.of({ store })
  })
)
