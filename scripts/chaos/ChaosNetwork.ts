/**
 * The links between the service and what it depends on, each through a proxy that can fail.
 *
 * Each instance has its own link to the database, since one may lose it while the other does not.
 */
import { Effect, Redacted } from "effect"
import { type TcpProxy, tcpProxy } from "../simulators/TcpProxy.ts"

export interface ChaosNetwork {
  /** By the number of the instance, from 1. */
  readonly databaseUrl: (instance: number) => string
  /** Past all proxies. */
  readonly database: Redacted.Redacted
  readonly adapterUrl: string
  /** The address of a Hilltop server as the service knows it. */
  readonly throughProxy: (url: string) => string
  readonly links: (target: string) => ReadonlyArray<TcpProxy>
  /** The instances whose database a fault of this target concerns. */
  readonly databasesOf: (target: string) => ReadonlyArray<number>
}

const portOf = (url: URL) => Number(url.port === "" ? 5432 : url.port)
const throughPort = (url: string, { port }: TcpProxy) => {
  const moved = new URL(url)
  moved.hostname = "127.0.0.1"
  moved.port = String(port)
  return moved.href
}
const before = (url: string) => {
  const { hostname, port } = new URL(url)
  return tcpProxy({ host: hostname, port: Number(port) })
}

export const openNetwork = Effect.fnUntraced(function* (options: {
  readonly instances: number
  readonly database: Redacted.Redacted
  readonly adapter: string
  /** Origins of the Hilltop servers. */
  readonly hilltop: ReadonlyArray<string>
  readonly kafka: ReadonlyArray<TcpProxy>
}) {
  const database = new URL(Redacted.value(options.database))
  const numbers = Array.from({ length: options.instances }, (_, i) => i + 1)
  const databases = yield* Effect.forEach(numbers, () => tcpProxy({ host: database.hostname, port: portOf(database) }))
  const adapter = yield* before(options.adapter)
  const servers = yield* Effect.forEach(options.hilltop, (origin) =>
    Effect.map(before(origin), (proxy) => ({ origin, proxy }))
  )
  const hilltop = servers.map(({ proxy }) => proxy)

  const databasesOf = (target: string) =>
    target === "databases" || target === "everything"
      ? numbers
      : numbers.filter((number) => target === `database ${number}`)
  const others = (target: string) => {
    if (target === "everything") return [adapter, ...hilltop, ...options.kafka]
    return target === "adapter" ? [adapter] : target === "hilltop" ? hilltop : target === "kafka" ? options.kafka : []
  }
  const network: ChaosNetwork = {
    database: options.database,
    databaseUrl: (instance) => throughPort(database.href, databases[instance - 1]!),
    adapterUrl: throughPort(options.adapter, adapter).replace(/\/$/, ""),
    throughProxy: (url) => {
      const server = servers.find(({ origin }) => url.startsWith(origin))
      return server === undefined ? url : throughPort(url, server.proxy)
    },
    links: (target) => [...databasesOf(target).map((number) => databases[number - 1]!), ...others(target)],
    databasesOf
  }
  return network
})
