/** Which addresses may be asked: those of the public internet, in whatever way an address is written. */
import { assert, it } from "@effect/vitest"
import { isPublicAddress, privateAddressCode, publicLookup } from "../../../layers/hilltop/publicAddress.ts"

it.each([
  "1.1.1.1",
  "203.97.0.1",
  "172.15.255.255",
  "172.32.0.0",
  "100.63.255.255",
  "100.128.0.0",
  "2404:138::1",
  "2606:4700:4700::1111",
  "::ffff:1.1.1.1",
  "::ffff:101:101"
])("%s is public", (address) => {
  assert.isTrue(isPublicAddress(address))
})

it.each([
  "0.0.0.0",
  "0.1.2.3",
  "10.1.2.3",
  "100.64.0.1",
  "100.127.255.255",
  "127.0.0.1",
  "127.255.255.255",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.170",
  "192.0.2.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:10.0.0.1",
  "::ffff:a00:1",
  "::FFFF:7F00:1",
  "0:0:0:0:0:ffff:192.168.0.1",
  "::ffff:0:127.0.0.1",
  "64:ff9b::7f00:1",
  "64:ff9b:1::1",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:7f00:1::",
  "fc00::1",
  "fd00::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "localhost",
  "1.1.1",
  "not an address",
  ""
])("%j is not", (address) => {
  assert.isFalse(isPublicAddress(address))
})

it.each([{ all: true }, {}])(
  "a name that resolves to a private address is refused, asked with %j",
  (options) =>
    new Promise<void>((done) => {
      publicLookup("localhost", options, (error, address) => {
        assert.strictEqual(error?.code, privateAddressCode)
        assert.deepStrictEqual(address, [])
        done()
      })
    })
)
