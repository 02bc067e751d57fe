/** The numbers of what is kept of a series, for the API. */
import { quantile } from "./ArrivalWindow.ts"
import { valuesOf } from "./NextLook.ts"
import { parseSeries } from "./SeriesState.ts"

export interface Estimate {
  readonly periodSeconds?: number | undefined
  /** Seconds from an observation's time to its arrival, nine times of ten. */
  readonly arrivesAfterSeconds?: readonly [number, number] | undefined
  readonly deliveriesPerDay: number
  readonly rowsPerDelivery: number
  /** Since when its clock has been waiting for a delivery at the last look; none where it was in time. */
  readonly overdueSeconds?: number | undefined
}

/** Undefined where it is not what is kept of a LATEST task. */
export const estimateOf = (kept: string): Estimate | undefined => {
  const state = parseSeries(kept)
  if (state === undefined) return undefined
  const { clock } = state
  const usual = {
    deliveriesPerDay: (86_400 * (state.deliveries + 0.5)) / state.during,
    rowsPerDelivery: valuesOf(state)
  }
  if (clock === undefined) return usual
  const late = state.at - clock.anchor - clock.period - quantile(clock.window, 0.98)
  return {
    ...usual,
    deliveriesPerDay: 86_400 / clock.period,
    periodSeconds: clock.period,
    arrivesAfterSeconds: [Math.round(quantile(clock.window, 0.05)), Math.round(quantile(clock.window, 0.95))],
    ...(late > 0 ? { overdueSeconds: Math.round(late) } : {})
  }
}
