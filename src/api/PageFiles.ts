/**
 * The files of the page that people open at `/`: its document, and its scripts and styles under an address that names their version.
 *
 * What lies under such an address never changes, so browsers keep it for ever; the document alone is asked for again.
 */
import { Context, Effect, Layer } from "effect"

export interface PageFile {
  readonly bytes: Uint8Array
  readonly contentType: string
  /** As the answer's `Content-Encoding` names it. */
  readonly encoding: "br" | "gzip" | undefined
  /** Differs with the bytes. */
  readonly etag: string
}

export class PageFiles extends Context.Service<
  PageFiles,
  {
    /**
     * The file at this address, relative to the document's, which itself is at ""; in one of the encodings that an `Accept-Encoding`
     * names. Nothing where there is none, or none of this version.
     */
    readonly find: (address: string, accepted: string) => Effect.Effect<PageFile | undefined>
  }
>()("penstock/api/PageFiles") {
  /** No files, for tests of what lies beside the page. */
  static readonly layerNone = Layer.succeed(PageFiles, PageFiles.of({ find: () => Effect.succeed(undefined) }))
}
