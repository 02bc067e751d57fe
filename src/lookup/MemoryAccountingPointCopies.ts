/**
 * `AccountingPointCopies` over the accounting points in memory: what readers see of them, with a tag of all that is shown.
 */
import { Effect, Layer } from "effect"
import { entityTypeOf, type TimelineName } from "../domain/AccountingPoint.ts"
import { MemoryAccountingPoints, type MemoryPoint } from "../sync/MemoryAccountingPoints.ts"
import { AccountingPointCopies, type AccountingPointCopy } from "./AccountingPointCopies.ts"
import { idOf, MemoryLookups } from "./MemoryLookups.ts"

const fromMicros = (micros: number | undefined) => (micros === undefined ? null : Math.floor(micros / 1000))

export const MemoryAccountingPointCopies = Layer.effect(
  AccountingPointCopies,
  Effect.gen(function* () {
    const points = yield* MemoryAccountingPoints
    const state = yield* MemoryLookups

    const copyOf = (point: MemoryPoint): AccountingPointCopy => {
      const shown = <A>(name: TimelineName, of: (value: string) => A) =>
        [...point.timelines[name]]
          .sort((a, b) => a.from - b.from || a.id - b.id)
          .map((period) => ({
            ...of(period.value),
            valid_from: period.from,
            valid_to: period.to ?? null
          }))
      const coded = (name: TimelineName) => (value: string) => ({
        id: idOf(state, `${name} ${value}`),
        business_id: value
      })
      return {
        id: point.id,
        business_id: point.gsrn,
        location: point.location ?? null,
        end_user: shown("end_user", (value) => ({
          id: idOf(state, `end_user ${value}`),
          type: entityTypeOf(value),
          ...(entityTypeOf(value) === "organisation" ? { business_id: value } : {})
        })),
        energy_supplier: shown("energy_supplier", coded("energy_supplier")),
        metering_grid_area: shown("metering_grid_area", coded("metering_grid_area")),
        energy_direction: shown("energy_direction", (value) => ({
          direction: value === "production" ? ("production" as const) : ("consumption" as const)
        })),
        sync: {
          version: point.version,
          last_synced_at: fromMicros(point.lastSyncedAt),
          last_sync_start: fromMicros(point.lastSyncStart),
          last_event_at: fromMicros(point.lastEventAt),
          failures: point.failures,
          next_attempt_at: fromMicros(point.nextAttemptAt),
          last_error: point.lastError ?? null
        }
      }
    }

    return AccountingPointCopies.of({
      find: (gsrn) =>
        Effect.sync(() => {
          const point = points.points.get(gsrn)
          if (point === undefined) return undefined
          const copy = copyOf(point)
          return { copy, etag: `"${JSON.stringify(copy).replaceAll('"', "'")}"` }
        })
    })
  })
)
