/**
 * The whole service as one value: what it stores, whom it asks, and the loops of the roles it was given.
 *
 * Read from the bottom: everything stands on the database, the stores on that, the roles on the stores. What was built last
 * stops first, so loops give back their claims while the stores still answer.
 */
import { Layer } from "effect"
import { Loops } from "../src/running/Loop.ts"
import { AdapterWatch } from "../src/sync/AdapterWatch.ts"
import { BudgetedAdapter } from "./sync/BudgetedAdapter.ts"
import { Database } from "./postgres/Database.ts"
import { PgAccountingPointCopies } from "./lookup/PgAccountingPointCopies.ts"
import { PgAccountingPointStore } from "./sync/PgAccountingPointStore.ts"
import { PgControllableUnits } from "./lookup/PgControllableUnits.ts"
import { ChosenDueWork } from "./api/KafkaDueWork.ts"
import { PgWorkMetrics } from "./api/PgWorkMetrics.ts"
import { ProcessMetrics } from "./telemetry/ProcessMetrics.ts"
import { KnownTopicReadings } from "./api/KnownTopicReadings.ts"
import { PgDeadLetterMarks } from "./api/PgDeadLetterMarks.ts"
import { PgEventInbox } from "./sync/PgEventInbox.ts"
import { PgHilltopAdministration } from "./api/PgHilltopAdministration.ts"
import { PgHilltopQueue } from "./crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "./crawl/PgHilltopSources.ts"
import { PgInstances } from "./sync/PgInstances.ts"
import { PgLockStore } from "./sync/PgLockStore.ts"
import { PgLookupStore } from "./lookup/PgLookupStore.ts"
import { PgObservationArchive } from "./observations/PgObservationArchive.ts"
import { PgObservationStore } from "./observations/PgObservationStore.ts"
import { PgObservationViews } from "./observations/PgObservationViews.ts"
import { PgOverview } from "./api/PgOverview.ts"
import { PgRedirectBudget } from "./crawl/PgRedirectBudget.ts"
import { PgReadiness } from "./api/PgReadiness.ts"
import { PgServerBudget } from "./crawl/PgServerBudget.ts"
import { PgTaskSearch } from "./api/PgTaskSearch.ts"
import { PgTrialBudget } from "./crawl/PgTrialBudget.ts"
import { ReportToFirst } from "./processes/ReportToFirst.ts"
import { CrawlRole, FurtherCrawl, inRole, LettingGo, NodeApi, ParsedInPassing, StreamRole, SyncRole } from "./Roles.ts"
import { SaxesXmlScanner } from "./hilltop/SaxesXmlScanner.ts"
import { ChosenTopics } from "./topics/ChosenTopics.ts"
import { UndiciHilltopClient } from "./hilltop/UndiciHilltopClient.ts"

/** What is kept, in PostgreSQL; the topics perhaps in Kafka. */
const Stores = Layer.mergeAll(
  PgAccountingPointCopies,
  PgAccountingPointStore,
  PgControllableUnits,
  PgDeadLetterMarks,
  PgEventInbox,
  PgHilltopAdministration,
  PgHilltopQueue,
  PgHilltopSources,
  PgInstances,
  PgLockStore,
  PgLookupStore,
  PgObservationArchive,
  PgObservationStore,
  PgObservationViews,
  PgOverview,
  PgReadiness,
  KnownTopicReadings,
  PgServerBudget,
  PgTaskSearch,
  PgTrialBudget,
  ChosenTopics
)

/** Hilltop servers within their budgets: claims and trials take their own, redirects take it here. */
const BudgetedHilltop = UndiciHilltopClient.pipe(Layer.provide(PgRedirectBudget))

/** Who is asked. */
export const Outside = Layer.mergeAll(BudgetedAdapter, BudgetedHilltop, SaxesXmlScanner)

/** What is found out by looking, whenever metrics are read. */
const Measured = Layer.mergeAll(ProcessMetrics, PgWorkMetrics)

/** The service, given how it answers over HTTP, and its further processes; what the first offers is offered on. */
export const service = <A, E, R, E2 = never, R2 = never>(
  api: Layer.Layer<A, E, R>,
  furtherProcesses: Layer.Layer<never, E2, R2> = Layer.empty
) =>
  Layer.mergeAll(
    api,
    furtherProcesses,
    Measured,
    inRole("sync", SyncRole),
    inRole("crawl", CrawlRole),
    inRole("stream", StreamRole),
    LettingGo
  ).pipe(
    Layer.provideMerge(ChosenDueWork),
    Layer.provideMerge(Layer.merge(Stores, Outside)),
    Layer.provideMerge(Database),
    Layer.provideMerge(Layer.mergeAll(Loops.layer, AdapterWatch.layer, ParsedInPassing))
  )

/** The service on Node, in one process. */
export const Main = service(NodeApi)

/** What a further process of an instance does: it crawls and maps as the first one, and reports to it. */
export const FurtherProcess = Layer.mergeAll(
  ReportToFirst,
  ProcessMetrics,
  inRole("crawl", FurtherCrawl),
  inRole("stream", StreamRole)
).pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      PgHilltopQueue,
      PgHilltopSources,
      PgObservationStore,
      PgServerBudget,
      ChosenTopics,
      BudgetedHilltop,
      SaxesXmlScanner
    )
  ),
  Layer.provideMerge(Database),
  Layer.provideMerge(Layer.merge(Loops.layer, ParsedInPassing))
)
