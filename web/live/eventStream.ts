/** Server-sent events from a body that was fetched: `EventSource` could not send a key in a header. */

export interface ServerEvent {
  readonly event: string
  readonly data: string
}

const eventIn = (block: string): ServerEvent | undefined => {
  let event = "message"
  const data: Array<string> = []
  for (const line of block.split(/\r?\n/)) {
    const [, field, value = ""] = /^([a-z]+)(?:: ?(.*))?$/.exec(line) ?? []
    if (field === "event") event = value
    if (field === "data") data.push(value)
  }
  return data.length === 0 ? undefined : { event, data: data.join("\n") }
}

/** Tells of each event, and of each sign of life; ends with the body. */
export const readEvents = async (
  body: ReadableStream<Uint8Array>,
  told: (event: ServerEvent) => void,
  alive: () => void
): Promise<void> => {
  const reader = body.pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>).getReader()
  let text = ""
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    alive()
    const blocks = (text + value).split(/\r?\n\r?\n/)
    text = blocks.pop() ?? ""
    for (const block of blocks) {
      const event = eventIn(block)
      if (event !== undefined) told(event)
    }
  }
}
