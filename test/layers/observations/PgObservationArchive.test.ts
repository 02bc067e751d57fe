/** The suite of the archive over PostgreSQL. */
import { Layer } from "effect"
import { PgObservationArchive } from "../../../layers/observations/PgObservationArchive.ts"
import { PgObservationStore } from "../../../layers/observations/PgObservationStore.ts"
import { observationArchiveSuite } from "../../api/observationArchiveSuite.ts"
import { TestDatabase } from "../../support/TestDatabase.ts"

observationArchiveSuite(
  "the archive in PostgreSQL",
  Layer.merge(PgObservationStore, PgObservationArchive).pipe(Layer.provide(TestDatabase.layer))
)
