/**
 * Asks a Hilltop server what a source would find there, before the source is saved.
 *
 * A few requests within the server's budget and one deadline for all: its list of sites, and the lists of those that have the
 * first measurements; none any more once it asks us to wait. Nothing is kept, and nothing that the server says goes on but counts and its own error, without secrets.
 */
import type { StoreUnavailable } from "../domain/StoreUnavailable.ts"
import type { XmlScanner } from "../hilltop/XmlScanner.ts"
import { Clock, Duration, Effect, Result } from "effect"
import type { SourceConfiguration } from "../domain/HilltopSource.ts"
import { formatInstant } from "../domain/Instant.ts"
import { HilltopClient } from "../hilltop/HilltopClient.ts"
import type { SiteList } from "../hilltop/HilltopDocument.ts"
import { decodeText } from "../hilltop/HilltopText.ts"
import { type HtsUrl, sitesListUrl, sitesWithMeasurementUrl } from "../hilltop/HilltopUrl.ts"
import { parseSiteList } from "../hilltop/HilltopXml.ts"
import { TrialBudget } from "./TrialBudget.ts"
import { wantedNames } from "./wantedNames.ts"
import { withoutSecrets } from "./withoutSecrets.ts"

/** Measurements that are looked for, each with a request. */
export const mostTried = 3
/** For all requests together. */
export const longestTrial = Duration.seconds(20)
const pause = "200 millis"

export interface TriedMeasurement {
  readonly name: string
  /** Sites that have it; nothing where that could not be told. */
  readonly sites: number | undefined
  readonly problem: string | undefined
}

export interface Trial {
  /** Why the server is none that can be crawled; nothing when it answered with its sites. */
  readonly problem: string | undefined
  readonly sites: number | undefined
  /** Those of which it says where they are. */
  readonly located: number | undefined
  readonly excluded: number | undefined
  readonly measurements: ReadonlyArray<TriedMeasurement>
  readonly requests: number
  readonly millis: number
}

const words = (error: {
  readonly _tag: string
  readonly detail?: string
  readonly limit?: number
  readonly retryAfter?: number | undefined
  readonly message: string
}) =>
  error._tag === "HilltopResponseTooLarge"
    ? `an answer of more than ${error.limit} bytes`
    : error._tag === "HilltopErrorDocument"
      ? `the server says: ${error.message}`
      : `${error.detail ?? error.message}${error.retryAfter === undefined ? "" : `, and asks to wait for ${error.retryAfter} s`}`

export const trySource = Effect.fnUntraced(function* (
  htsUrl: HtsUrl,
  configuration: SourceConfiguration
): Effect.fn.Return<Trial, StoreUnavailable, HilltopClient | TrialBudget | XmlScanner> {
  const client = yield* HilltopClient
  const budget = yield* TrialBudget
  const startedAt = yield* Clock.currentTimeMillis
  let requests = 0
  let asksToWait = false

  const listAt = Effect.fnUntraced(function* (
    url: string
  ): Effect.fn.Return<
    Result.Result<SiteList, string>,
    StoreUnavailable,
    Effect.Services<ReturnType<typeof parseSiteList>>
  > {
    for (;;) {
      const turn = yield* budget.turn(url)
      if (turn._tag === "taken") break
      if (turn._tag === "left_alone") return Result.fail(`the server is left alone until ${formatInstant(turn.until)}`)
      yield* Effect.sleep(pause)
    }
    requests += 1
    const told = (error: Parameters<typeof words>[0] & { readonly status?: number | undefined }) =>
      Effect.sync(() => {
        asksToWait = error._tag === "HilltopFetchFailed" && (error.status === 429 || error.retryAfter !== undefined)
        return Result.fail(withoutSecrets(words(error), htsUrl))
      })
    return yield* client.fetch(url).pipe(
      Effect.flatMap(({ bytes }) => parseSiteList(decodeText(bytes))),
      Effect.scoped,
      Effect.map(Result.succeed),
      Effect.catchTags({
        HilltopFetchFailed: told,
        HilltopResponseTooLarge: told,
        HilltopErrorDocument: told,
        HilltopParseError: told
      })
    )
  })

  const measurements: Array<TriedMeasurement> = []
  let list: Result.Result<SiteList, string> = Result.fail("no answer within 20 s")
  const all = Effect.gen(function* () {
    list = yield* listAt(sitesListUrl(htsUrl))
    if (Result.isFailure(list)) return
    for (const name of configuration.measurementNames.slice(0, mostTried)) {
      if (asksToWait) return
      const having = yield* listAt(sitesWithMeasurementUrl(htsUrl, name))
      measurements.push(
        Result.match(having, {
          onSuccess: ({ sites }) => ({ name, sites: distinct(sites), problem: undefined }),
          onFailure: (problem) => ({ name, sites: undefined, problem })
        })
      )
    }
  })
  yield* Effect.timeoutOption(all, longestTrial)

  const millis = (yield* Clock.currentTimeMillis) - startedAt
  const found = list as Result.Result<SiteList, string>
  const tried = measurements.length
  const untried = configuration.measurementNames.slice(tried).map((name, n) => ({
    name,
    sites: undefined,
    problem:
      tried + n >= mostTried
        ? `not tried: the first ${mostTried} are`
        : asksToWait
          ? "not tried: the server asked to wait"
          : "no answer in time"
  }))
  if (Result.isFailure(found)) {
    const nothing = { sites: undefined, located: undefined, excluded: undefined, measurements: [] }
    return { ...nothing, problem: found.failure, requests, millis }
  }
  const { sites } = found.success
  const { isExcluded } = wantedNames(configuration)
  return {
    problem: undefined,
    sites: distinct(sites),
    located: distinct(sites.filter(({ location }) => location !== null)),
    excluded: distinct(sites.filter(({ name }) => isExcluded(name))),
    measurements: [...measurements, ...untried],
    requests,
    millis
  }
})

/** A list may name a site twice. */
const distinct = (sites: SiteList["sites"]): number => new Set(sites.map(({ name }) => name)).size

/** In one line, such as `answers, 312 sites, 41 have Rainfall`. */
export const sentenceOf = ({ measurements, problem, sites }: Trial): string =>
  problem !== undefined
    ? `cannot be used: ${problem}`
    : [
        "answers",
        `${sites} ${sites === 1 ? "site" : "sites"}`,
        ...measurements
          .filter((one) => one.sites !== undefined)
          .map((one) => `${one.sites} ${one.sites === 1 ? "has" : "have"} ${one.name}`)
      ].join(", ")
