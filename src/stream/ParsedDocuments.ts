/**
 * Documents of data that the crawl of this process has parsed and is about to publish, for the mapper of this process, which
 * would parse the same text again a moment later.
 *
 * What a message says depends on its text and the item alone, so what is kept is only used where both are the very same, and the
 * record is mapped as it would be without. Nothing depends on it: what another process crawled, what was read before and what
 * had no room is parsed. Mapping a document of 4,000 rows takes a third of the processor time with it.
 */
import { Context, Layer } from "effect"
import type { RawDataAbout } from "../domain/HilltopMessage.ts"
import type { DataDocument } from "../hilltop/HilltopDocument.ts"

export interface ParsedDocument {
  /** The record's: JSON, with the text of the document in it. */
  readonly value: string
  /** What that says beside the document. */
  readonly about: RawDataAbout
  /** The number of the item that its rows hold. */
  readonly item: number
  readonly document: DataDocument
}

export interface KeptDocuments {
  /** Keeps it under its record's key, in place of older ones where there is no room. */
  readonly keep: (key: string, parsed: ParsedDocument) => void
  /** What was kept under the key, of the very same value and item; once, then it is forgotten. */
  readonly take: (key: string, value: string, item: number) => ParsedDocument | undefined
}

/** Characters of text. Their rows take half as much memory, so that all of it is at most some 15 MB. */
const roomForText = 8_000_000
/** A larger document is parsed again: a few of them would be all that is kept. */
export const longestKept = roomForText / 4

const makeKept = (): KeptDocuments => {
  /** In the order in which they came. */
  const kept = new Map<string, ParsedDocument>()
  let characters = 0
  const forget = (key: string) => {
    characters -= kept.get(key)?.value.length ?? 0
    kept.delete(key)
  }
  return {
    keep: (key, parsed) => {
      forget(key)
      if (parsed.value.length > longestKept) return
      kept.set(key, parsed)
      characters += parsed.value.length
      for (const oldest of kept.keys()) {
        if (characters <= roomForText) break
        forget(oldest)
      }
    },
    take: (key, value, item) => {
      const found = kept.get(key)
      forget(key)
      return found !== undefined && found.item === item && found.value === value ? found : undefined
    }
  }
}

/** Keeps nothing unless a layer says otherwise: of use only where one process both crawls and maps. */
export const ParsedDocuments = Context.Reference<KeptDocuments>("penstock/stream/ParsedDocuments", {
  defaultValue: () => ({ keep: () => {}, take: () => undefined })
})

export const KeptParsedDocuments = Layer.sync(ParsedDocuments, makeKept)
