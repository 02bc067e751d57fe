/** The suite of the archive over memory. */
import { Layer } from "effect"
import { MemoryObservationArchive } from "../../src/api/MemoryObservationArchive.ts"
import { MemoryObservations } from "../../src/stream/MemoryObservations.ts"
import { observationArchiveSuite } from "./observationArchiveSuite.ts"

observationArchiveSuite(
  "the archive in memory",
  MemoryObservationArchive.pipe(Layer.provideMerge(MemoryObservations.layer))
)
