/** PostgreSQL keeps the contract of the administration. */
import { ConfigProvider, Layer } from "effect"
import { PgHilltopAdministration } from "../../../layers/api/PgHilltopAdministration.ts"
import { PgHilltopQueue } from "../../../layers/crawl/PgHilltopQueue.ts"
import { PgHilltopSources } from "../../../layers/crawl/PgHilltopSources.ts"
import { hilltopAdministrationSuite } from "../../api/hilltopAdministrationSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

hilltopAdministrationSuite(
  "administration in PostgreSQL",
  Layer.mergeAll(PgHilltopAdministration, PgHilltopQueue, PgHilltopSources).pipe(
    Layer.provideMerge(TestDatabase.layer),
    Layer.provide(
      ConfigProvider.layer(ConfigProvider.fromEnvRecord({ CRAWL_SERVER_RATE: "1000", CRAWL_SERVER_CONCURRENCY: "100" }))
    )
  )
)
