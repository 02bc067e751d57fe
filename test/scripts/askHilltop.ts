/**
 * Asks the simulated Hilltop servers over real HTTP, as a crawler would, and reads what comes back without the service's
 * own reader.
 *
 * Time stands still (speed 0) unless a test moves it, so every expectation is exact. The client is undici without any
 * help: no gzip, no redirects, no User-Agent, so that what is on the wire is what is looked at.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { HttpBody, HttpClient, type HttpClientResponse } from "effect/http"
import { SaxesParser } from "saxes"
import { HilltopSimulator, type HilltopSimulatorOptions } from "../../scripts/simulators/HilltopSimulator.ts"
import type { FaultSetting } from "../../scripts/simulators/hilltop/HilltopFaults.ts"

const start = "2026-10-20T09:00:00"

/** Six months before `start`, so that both changes of daylight saving lie within it. */
export const still: HilltopSimulatorOptions = { sites: 24, start, speed: 0, historyDays: 270 }

export const simulated = (options: HilltopSimulatorOptions = still) =>
  Layer.merge(HilltopSimulator.layer(options), NodeHttpClient.layerUndici)

export const encode = (query: Readonly<Record<string, string>>): string =>
  Object.entries({ Service: "Hilltop", ...query })
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join("&")

const bytesOf = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(response.arrayBuffer, (buffer) => Buffer.from(buffer))

export const fetch = Effect.fnUntraced(function* (url: string, headers: Readonly<Record<string, string>> = {}) {
  const client = yield* HttpClient.HttpClient
  const response = yield* client.get(url, { headers })
  return { status: response.status, headers: response.headers, body: yield* bytesOf(response) }
})

/** The answer of one council (901, 902, 903) as text. */
export const ask = Effect.fnUntraced(function* (councilId: number, query: Readonly<Record<string, string>>) {
  const { sources } = yield* HilltopSimulator
  const url = sources.find((source) => source.councilId === councilId)?.htsUrl
  return (yield* fetch(`${url}?${encode(query)}`)).body.toString("utf8")
})

export const putJson = Effect.fnUntraced(function* (path: string, body: unknown) {
  const client = yield* HttpClient.HttpClient
  const { origins } = yield* HilltopSimulator
  const response = yield* client.put(`${origins[0]}${path}`, { body: HttpBody.jsonUnsafe(body) })
  return { status: response.status, json: yield* response.json }
})

/** Ends with the faults that the simulator started with, whatever the test did. */
export const withFaults = <A, E, R>(rules: ReadonlyArray<FaultSetting>, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { faults } = yield* HilltopSimulator
    yield* faults.set(rules)
    return yield* Effect.ensuring(effect, Effect.orDie(faults.set([])))
  })

export const rowsOf = (xml: string): ReadonlyArray<readonly [time: string, value: string]> =>
  [...xml.matchAll(/<E><T>([^<]*)<\/T>(?:<I1>|<Value>)([^<]*)</g)].map(([, time = "", value = ""]) => [time, value])

export const wellFormed = (xml: string): boolean => {
  const parser = new SaxesParser()
  let faultless = true
  parser.on("error", () => (faultless = false))
  parser.write(xml).close()
  return faultless
}

export const unescape = (text: string): string =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&")

export const siteWith = Effect.fnUntraced(function* (councilId: number, kind: string) {
  const { sites } = yield* HilltopSimulator
  const site = sites(councilId).find((one) => one.kind === kind && one.listed > 0 && one.alive)
  return site ?? (yield* Effect.die(new Error(`No ${kind} site`)))
})

export const data = Effect.fnUntraced(function* (
  councilId: number,
  site: string,
  measurement: string,
  more: Readonly<Record<string, string>> = {}
) {
  return yield* ask(councilId, { Request: "GetData", Site: site, Measurement: measurement, ...more })
})

export const month = { From: "2026-09-01T00:00", To: "2026-09-30T23:59:59" }
