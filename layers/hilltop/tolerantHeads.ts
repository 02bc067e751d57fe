/**
 * Heads of HTTP answers as undici takes them, whatever old servers and what stands before them make of theirs: lines that end in a
 * line feed alone, control characters, a `Content-Length` that is there twice or contradicts chunks, lines that are no header.
 *
 * undici's parser has no lenient mode that could be reached, and Node's refuses half of these. So a connection gives its parser
 * another head than it received, and every other byte as it came. What would have to be guessed (two lengths that differ) is
 * left as it is, and refused there.
 */
import type { Socket } from "node:net"

/** Bytes. undici refuses heads of a quarter of it. */
const longestHead = 65_536

// oxlint-disable-next-line no-control-regex -- those are the ones; a tab may stand in a header
const controls = /[\u0000-\u0008\u000b-\u001f\u007f]/g
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[\t ]*:(.*)$/
const endOfHead = /\n\r?\n/

/** The head, up to and with its empty line, as the standard has it. */
export const tidyHead = (head: string): string => {
  const [status = "", ...lines] = head.trimEnd().split(/\r?\n/)
  const headers: Array<{ readonly name: string; value: string }> = []
  for (const line of lines) {
    const plain = line.replaceAll(controls, " ")
    const last = headers.at(-1)
    const [, name, value = ""] = headerLine.exec(plain) ?? []
    // A line that begins with a space goes on with the one before it.
    if (last !== undefined && /^[\t ]/.test(line)) last.value += ` ${plain.trim()}`
    else if (name !== undefined) headers.push({ name, value: value.trim() })
  }
  const isOf = (wanted: string) => (header: { readonly name: string }) => header.name.toLowerCase() === wanted
  const lengths = headers.filter(isOf("content-length")).flatMap(({ value }) => value.split(/[\t ]*,[\t ]*/))
  const isChunked = headers.some(isOf("transfer-encoding"))
  const agree = lengths.every((length) => length === lengths[0])
  const others = headers.filter((header) => !(isOf("content-length")(header) && (isChunked || agree)))
  if (lengths[0] !== undefined && agree && !isChunked) others.push({ name: "Content-Length", value: lengths[0] })
  return [status.replaceAll(controls, " "), ...others.map(({ name, value }) => `${name}: ${value}`), "", ""].join(
    "\r\n"
  )
}

/**
 * What is read from it after a request, until the head of the answer is there, goes through `tidyHead`. There is no second request
 * before an answer is complete, unless somebody turns pipelining on.
 */
export const tolerantOfHeads = (socket: Socket): Socket => {
  if ("alpnProtocol" in socket && socket.alpnProtocol === "h2") return socket
  const [read, write] = [socket.read.bind(socket), socket.write.bind(socket)]
  let awaited = false
  let received = Buffer.alloc(0)
  const heads = (piece: Buffer): Buffer | undefined => {
    const from = Math.max(0, received.length - 3)
    received = Buffer.concat([received, piece])
    const found = endOfHead.exec(received.toString("latin1", from))
    const end = found === null ? -1 : from + found.index + found[0].length
    if (end < 0 && received.length <= longestHead) return undefined
    const all = received
    received = Buffer.alloc(0)
    awaited = false
    if (end < 0) return all
    const tidied = tidyHead(all.toString("latin1", 0, end))
    const rest = all.subarray(end)
    // What says no more than that the answer is still to come has a head of its own.
    awaited = /^HTTP\/\S+ 1/.test(tidied)
    const more = awaited && rest.length > 0 ? (heads(rest) ?? Buffer.alloc(0)) : rest
    return Buffer.concat([Buffer.from(tidied, "latin1"), more])
  }
  socket.write = ((...parameters: Parameters<Socket["write"]>) => {
    awaited = true
    return write(...parameters)
  }) as Socket["write"]
  socket.read = (size?: number) => {
    for (;;) {
      const piece: Buffer | null = read(size)
      if (piece === null || !awaited) return piece
      const head = heads(piece)
      if (head !== undefined) return head
    }
  }
  return socket
}
