/**
 * Which addresses a Hilltop server may have: sources are data that operators enter, and must not be a way to reach what
 * lies beside this service. The check is made on the address that is connected to, after the name was resolved.
 */
import { BlockList, isIP } from "node:net"
import { lookup as resolveName, type LookupAddress, type LookupOptions } from "node:dns"

/** IPv4 that is not the public internet, by IANA's registry of special-purpose addresses. */
const notPublicV4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4"
]

/** Of IPv6 only this is handed out as public addresses, less what is special within it: Teredo and 6to4 hold others. */
const publicV6 = "2000::/3"
const notPublicV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]

const listOf = (ranges: ReadonlyArray<string>, family: "ipv4" | "ipv6"): BlockList => {
  const list = new BlockList()
  for (const range of ranges) {
    const [net = "", prefix] = range.split("/")
    list.addSubnet(net, Number(prefix), family)
  }
  return list
}
const v4 = listOf(notPublicV4, "ipv4")
const v6 = listOf([publicV6], "ipv6")
const v6Special = listOf(notPublicV6, "ipv6")
const v4InV6 = listOf(["::ffff:0:0/96"], "ipv6")

/** The IPv4 address within `::ffff:a.b.c.d`, however it is written. */
const mapped = (address: string): string | undefined => {
  if (!v4InV6.check(address, "ipv6")) return undefined
  // The parser writes every form of it with two groups of hexadecimal digits.
  const [high = "", low = ""] = new URL(`http://[${address}]`).hostname.slice(1, -1).split(":").slice(-2)
  const number = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((bits) => Math.floor(number / 2 ** bits) % 256).join(".")
}

/** Whether the address (not a name) belongs to the public internet. IPv4 within IPv6 is judged as IPv4. */
export const isPublicAddress = (text: string): boolean => {
  // The zone of a link-local address (`fe80::1%eth0`).
  const address = text.replace(/%.*$/, "")
  const family = isIP(address)
  if (family === 4) return !v4.check(address, "ipv4")
  if (family !== 6) return false
  const inner = mapped(address)
  return inner === undefined ? v6.check(address, "ipv6") && !v6Special.check(address, "ipv6") : !v4.check(inner, "ipv4")
}

/** Raised by `publicLookup`; recognised by its code where the connection fails. */
export const privateAddressCode = "EPRIVATEADDRESS"

/** `dns.lookup` for sockets that refuses a name with any address outside the public internet. */
export const publicLookup = (
  hostname: string,
  options: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string | Array<LookupAddress>, family?: number) => void
): void =>
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, [])
    if (!addresses.every(({ address }) => isPublicAddress(address))) {
      return callback(Object.assign(new Error("not a public address"), { code: privateAddressCode }), [])
    }
    const [first] = addresses
    return options.all === true || first === undefined
      ? callback(null, addresses)
      : callback(null, first.address, first.family)
  })
