/**
 * Which addresses a Hilltop server may have: sources are data that operators enter, and must not be a way to reach what
 * lies beside this service. The check is made on the address that is connected to, after the name was resolved.
 */
import { BlockList, isIP } from "node:net"
import { lookup as resolveName, type LookupAddress, type LookupOptions } from "node:dns"

const ranges = {
  ipv4: [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4"
  ],
  ipv6: ["::/128", "::1/128", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8"]
} as const

const notPublic = new BlockList()
for (const family of ["ipv4", "ipv6"] as const) {
  for (const range of ranges[family]) {
    const [net = "", prefix] = range.split("/")
    notPublic.addSubnet(net, Number(prefix), family)
  }
}

/** Whether the address (not a name) belongs to the public internet. IPv4 within IPv6 is judged as IPv4. */
export const isPublicAddress = (address: string): boolean => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  const family = isIP(mapped ?? address)
  return family !== 0 && !notPublic.check(mapped ?? address, family === 6 ? "ipv6" : "ipv4")
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
