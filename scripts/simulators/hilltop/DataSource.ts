/**
 * The nouns of a MeasurementList: DataSource, Measurement, Item, and the drafts of them that instruments are written as.
 *
 * The trap that this copies from real servers: a DataSource and a Measurement may share a name or not; a Measurement may
 * be measured, rated or virtual; one DataSource may have several Measurements in one column and several columns.
 */
import type { SeedKey } from "../SeededRandom.ts"
import type { Council, Site } from "./Council.ts"
import type { Series } from "./SeriesWorld.ts"
import type { WallTime } from "./WallTime.ts"

export type TsType = "StdSeries" | "StdQualSeries" | "CheckSeries"

/** A column of GetData. `divisor` is how much larger the stored integer is, shown in Format=Native only. */
export interface Item {
  readonly name: string
  readonly format: "I" | "F" | "D" | "S"
  readonly divisor?: number | undefined
  readonly units?: string | undefined
  readonly pattern: string
}

export interface Measurement {
  readonly name: string
  /** The column that holds it, counted from 1. */
  readonly item: number
  readonly requestAs: string
  readonly isDefault: boolean
  readonly units?: string | undefined
  readonly divisor?: number | undefined
  readonly pattern: string
  readonly group?: string | undefined
  readonly virtual: boolean
  readonly rated: boolean
  readonly series: Series
  /** All columns that GetData answers with, whichever was asked for. */
  readonly items: ReadonlyArray<Item>
}

export interface DataSource {
  readonly name: string
  readonly tsType: TsType
  readonly dataType: string
  readonly interpolation: string
  readonly itemFormat: number
  readonly numItems: number
  readonly sensorGroup?: string | undefined
  readonly series: Series
  readonly measurements: ReadonlyArray<Measurement>
  /** What GetData of the DataSource itself answers with: of a quality series, its codes. */
  readonly items: ReadonlyArray<Item>
  /** How its From and To are shown: a few servers show To before From, or no To. */
  readonly extent: "usual" | "reversed" | "without To"
}

/** A DataSource before the names to ask by are known, which depend on its neighbours. */
export type DraftMeasurement = Omit<Measurement, "requestAs" | "isDefault" | "virtual" | "rated"> & {
  readonly virtual?: boolean
  readonly rated?: boolean
  /** Answers to the bare name although another DataSource has a Measurement of that name. */
  readonly preferred?: boolean
}

export type DraftSource = Omit<DataSource, "measurements" | "extent"> & {
  readonly measurements: ReadonlyArray<DraftMeasurement>
}

export interface WorldSettings {
  readonly seed: SeedKey
  /** The wall time at which the simulated world began to run; history lies before it. */
  readonly origin: WallTime
  readonly historyDays: number
  /** Multiplies the frequency of late corrections; 0 for none. */
  readonly corrections: number
  /** One more river at each council, which ended so long ago, and whose values are gone over while the world runs. */
  readonly archive?: { readonly endedDaysAgo: number; readonly correctedEvery: number } | undefined
}

/** What the series of one site share. */
export interface Station {
  readonly settings: WorldSettings
  readonly council: Council
  readonly site: Site
  readonly start: WallTime
  readonly end: WallTime
  /** A key for this site and what follows. */
  readonly key: (...parts: ReadonlyArray<string>) => number
}
