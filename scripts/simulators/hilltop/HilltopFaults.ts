/**
 * What can go wrong, as data: which fault, how likely, and for which requests. Set in a test or by `PUT /simulator/faults`.
 *
 * Chance is seeded by the address and by how often it was asked, not by the order of arrival, so that a run with ten
 * requests in flight strikes the same ones again.
 */
import { Effect, Option, Schema } from "effect"
import type { SeedKey } from "../SeededRandom.ts"
import { requestTypes, type RequestType } from "./HilltopRequests.ts"
import { hash01, noiseKey } from "./Noise.ts"
import { SpoiltKind } from "./SpoiltText.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

const withDefault = <S extends Schema.Constraint>(schema: S, value: S["Encoded"]) =>
  Schema.withDecodingDefaultKey<S>(Effect.succeed(value))(schema)

const compiles = Option.liftThrowable((pattern: string) => new RegExp(pattern, "u"))

const Pattern = Schema.String.check(
  Schema.makeFilter((text) => Option.isSome(compiles(text)) || "must be a regular expression")
)

/** Which requests a rule is about; all of them where nothing is said. */
const scope = {
  probability: withDefault(Share, 1),
  /** The rule strikes this often and then no more. */
  times: Schema.optionalKey(Count),
  request: Schema.optionalKey(Schema.Literals(requestTypes)),
  /** Regular expressions, found anywhere in the decoded path, site or measurement. */
  path: Schema.optionalKey(Pattern),
  site: Schema.optionalKey(Pattern),
  measurement: Schema.optionalKey(Pattern)
}

const fault = <const Name extends string, const Fields extends Schema.Struct.Fields>(name: Name, fields: Fields) =>
  Schema.Struct({ fault: Schema.Literal(name), ...fields, ...scope })

/** What happens to the connection or the HTTP answer. */
const transportFaults = [
  /** 522, 503, 429, 500 …; `retry_after` in seconds or as an HTTP date. */
  fault("status", {
    status: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 400, maximum: 599 })), 503),
    retry_after: Schema.optionalKey(Schema.String)
  }),
  fault("forbidden-without-user-agent", {}),
  /** `to` may be relative; an address that redirects to itself makes a loop. */
  fault("redirect", {
    to: Schema.String,
    status: withDefault(Schema.Literals([301, 302, 303, 307, 308]), 302)
  }),
  fault("delay", { milliseconds: withDefault(Count, 5_000) }),
  /** Takes the request and never answers. */
  fault("hang", {}),
  /** The connection is reset after this many bytes of the body. */
  fault("reset", { after_bytes: withDefault(Count, 0) }),
  /** The body ends there and HTTP says that this was all. Half of it, where nothing is said. */
  fault("truncate", { after_bytes: Schema.optionalKey(Count) }),
  /** Never silent for long, never done: what defeats a timeout per read. */
  fault("trickle", {
    bytes_per_second: withDefault(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), 500),
    piece_bytes: withDefault(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), 50)
  }),
  fault("gzip-unasked", {}),
  /** A charset in the header, right or wrong. */
  fault("charset", { charset: withDefault(Schema.String, "iso-8859-1") })
] as const

/** What the document says instead. */
const replacedDocuments = [
  /** A page of the web server, well-formed or not, with status 200. */
  fault("html", { well_formed: withDefault(Schema.Boolean, false) }),
  fault("empty-body", {}),
  fault("error", { text: withDefault(Schema.String, "No data") }),
  fault("data-limit", { years: withDefault(Count, 12) }),
  fault("ambiguous", {}),
  fault("no-data", { form: withDefault(Schema.Literals(["agency", "empty"]), "agency") }),
  /** A list that lacks so many of its sites, or data sources. */
  fault("shortened-list", { share: withDefault(Share, 0.8) }),
  /** As a service of another kind says that it has failed. */
  fault("exception-report", { text: withDefault(Schema.String, "No applicable code") }),
  fault("no-sites", {}),
  fault("no-data-source", {})
] as const

/** What is odd about a document that is otherwise right. */
const bentDocuments = [
  fault("missing-units", {}),
  fault("missing-format", {}),
  fault("to-before-from", {}),
  fault("missing-to", {}),
  fault("gaps", { share: withDefault(Share, 0.1) }),
  /** A time twice: with the same value, and with another. */
  fault("duplicates", { share: withDefault(Share, 0.05) }),
  /** Values that stand for "broken", and some that are no number. */
  fault("sentinels", {
    share: withDefault(Share, 0.05),
    values: withDefault(Schema.Array(Schema.String), ["-100.0", "-6999", "0.00", "214699991.0", "232036", "-0"])
  }),
  fault("mowsecs", {}),
  fault("midnight-24", {}),
  fault("time-with-space", {}),
  fault("time-with-fraction", {}),
  /** A server on daylight-saving time: all its times lie in the future. */
  fault("clock-ahead", { minutes: withDefault(Schema.Int, 60) }),
  /** Three columns numbered 1, 3, 2, whatever was asked for. */
  fault("item-order", {}),
  /** More than one Measurement in the answer; the one asked for is not always the first. */
  fault("multi-measurement", { first: withDefault(Schema.Boolean, true) }),
  /** Rows by the second before the real ones, until the body is this long. */
  fault("large-body", { bytes: withDefault(Count, 20_000_000) }),
  fault("bom", {}),
  fault("windows-1252", {}),
  /** Small damage to the text, see `SpoiltText`. */
  fault("spoilt-text", { kind: withDefault(SpoiltKind, "ampersand") }),
  /** One row more, of another year: the last one, mistyped. */
  fault("far-row", { year: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9999 })), 2036) }),
  /** The right document of another site. */
  fault("other-site", {}),
  /** Times as a spreadsheet counts days. */
  fault("day-numbers", {}),
  /** What laboratories say of a value in a second item beside it, with tabs between; and signs of censoring there alone. */
  fault("beside-values", {})
] as const

/** One rule. Its `fault` says which other fields it has. */
export const FaultRule = Schema.Union([...transportFaults, ...replacedDocuments, ...bentDocuments])
export type FaultRule = typeof FaultRule.Type
export type FaultName = FaultRule["fault"]

/** A rule as it is written: what has a default may be left out. */
export type FaultSetting = typeof FaultRule.Encoded

/** The body of `PUT /simulator/faults`. */
export const FaultRules = Schema.Struct({ rules: Schema.Array(FaultRule) })

export const decodeFaults = Schema.decodeUnknownEffect(FaultRules, { errors: "all", onExcessProperty: "error" })

/** What of a request decides whether a rule is about it. */
export interface FaultTarget {
  readonly url: string
  readonly path: string
  readonly request: RequestType | undefined
  readonly site: string
  readonly measurement: string
}

/** The faults in force, and their dice. */
export interface FaultTable {
  readonly rules: () => ReadonlyArray<FaultRule>
  readonly set: (rules: ReadonlyArray<FaultRule>) => void
  /** The faults that strike this request, in the order of the rules. Asking counts as a request. */
  readonly strike: (target: FaultTarget) => ReadonlyArray<FaultRule>
}

interface Armed {
  readonly rule: FaultRule
  readonly key: number
  readonly matches: (target: FaultTarget) => boolean
  struck: number
}

const found = (pattern: string | undefined): ((text: string) => boolean) => {
  if (pattern === undefined) return () => true
  const expression = new RegExp(pattern, "u")
  return (text) => expression.test(text)
}

const arm = (seed: SeedKey, rule: FaultRule, index: number): Armed => {
  const [path, site, measurement] = [found(rule.path), found(rule.site), found(rule.measurement)]
  return {
    rule,
    key: noiseKey(seed, "fault", index, rule.fault),
    matches: (target) =>
      (rule.request === undefined || rule.request === target.request) &&
      path(target.path) &&
      site(target.site) &&
      measurement(target.measurement),
    struck: 0
  }
}

/** Beyond this many addresses the dice forget; a crawl of three councils with a year each stays below it. */
const mostAddresses = 200_000

export const faultTable = (seed: SeedKey): FaultTable => {
  let armed: ReadonlyArray<Armed> = []
  let asked = new Map<string, number>()
  const strikes = (one: Armed, target: FaultTarget, turn: number): boolean => {
    const { probability, times = Infinity } = one.rule
    if (one.struck >= times || !one.matches(target)) return false
    if (hash01(one.key ^ noiseKey(target.url), turn) >= probability) return false
    one.struck++
    return true
  }
  return {
    rules: () => armed.map(({ rule }) => rule),
    set: (rules) => {
      armed = rules.map((rule, index) => arm(seed, rule, index))
      asked = new Map()
    },
    strike: (target) => {
      if (armed.length === 0) return []
      const turn = asked.get(target.url) ?? 0
      if (asked.size > mostAddresses) asked = new Map()
      asked.set(target.url, turn + 1)
      return armed.filter((one) => strikes(one, target, turn)).map(({ rule }) => rule)
    }
  }
}
