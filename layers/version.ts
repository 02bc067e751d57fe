/** Which Penstock this is, as `package.json` says; it introduces itself so to other people's servers. */
import manifest from "../package.json" with { type: "json" }

export const version: string = manifest.version
export const userAgent = `penstock/${version}`
