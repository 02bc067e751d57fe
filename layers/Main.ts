/**
 * The whole service as one value: what it stores, whom it asks, and the loops of the roles it was given.
 *
 * Read from the bottom: everything stands on the database, the stores on that, the roles on the stores. What was built last
 * stops first, so loops give back their claims while the stores still answer.
 */
import { Layer } from "effect"
import { Loops } from "../src/domain/Loop.ts"
import { BudgetedAdapter } from "./BudgetedAdapter.ts"
import { Database } from "./Database.ts"
import { PgAccountingPointCopies } from "./PgAccountingPointCopies.ts"
import { PgAccountingPointStore } from "./PgAccountingPointStore.ts"
import { PgControllableUnits } from "./PgControllableUnits.ts"
import { PgDueWork } from "./PgDueWork.ts"
import { PgEventInbox } from "./PgEventInbox.ts"
import { PgHilltopAdministration } from "./PgHilltopAdministration.ts"
import { PgHilltopQueue } from "./PgHilltopQueue.ts"
import { PgHilltopSources } from "./PgHilltopSources.ts"
import { PgInstances } from "./PgInstances.ts"
import { PgLockStore } from "./PgLockStore.ts"
import { PgLookupStore } from "./PgLookupStore.ts"
import { PgObservationArchive } from "./PgObservationArchive.ts"
import { PgObservationStore } from "./PgObservationStore.ts"
import { PgReadiness } from "./PgReadiness.ts"
import { PgServerBudget } from "./PgServerBudget.ts"
import { CrawlRole, inRole, NodeApi, StreamRole, SyncRole } from "./Roles.ts"
import { SaxesXmlScanner } from "./SaxesXmlScanner.ts"
import { ChosenTopics } from "./ChosenTopics.ts"
import { UndiciHilltopClient } from "./UndiciHilltopClient.ts"

/** What is kept, in PostgreSQL; the topics perhaps in Kafka. */
const Stores = Layer.mergeAll(
  PgAccountingPointCopies,
  PgAccountingPointStore,
  PgControllableUnits,
  PgDueWork,
  PgEventInbox,
  PgHilltopAdministration,
  PgHilltopQueue,
  PgHilltopSources,
  PgInstances,
  PgLockStore,
  PgLookupStore,
  PgObservationArchive,
  PgObservationStore,
  PgReadiness,
  PgServerBudget,
  ChosenTopics
)

/** Who is asked. */
export const Outside = Layer.mergeAll(BudgetedAdapter, UndiciHilltopClient, SaxesXmlScanner)

/** The service, given how it answers over HTTP. */
export const service = <E, R>(api: Layer.Layer<never, E, R>) =>
  Layer.mergeAll(api, inRole("sync", SyncRole), inRole("crawl", CrawlRole), inRole("stream", StreamRole)).pipe(
    Layer.provideMerge(Layer.merge(Stores, Outside)),
    Layer.provideMerge(Database),
    Layer.provideMerge(Loops.layer)
  )

/** The service on Node. */
export const Main = service(NodeApi)
