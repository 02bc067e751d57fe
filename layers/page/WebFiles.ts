/**
 * The page from the folder `web` and from the packages of its libraries, made ready when it is first asked for.
 *
 * Nothing is built beforehand: types are taken out of the scripts, which stay the small files they are, and the document names all
 * of them, so that browsers ask for all at once. They lie under an address that has a digest of them all.
 */
import { Effect, Layer } from "effect"
import { hash } from "node:crypto"
import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"
import { type PageFile, PageFiles } from "../../src/api/PageFiles.ts"
import { libraries, libraryAddress, libraryStyles, withAddresses } from "./libraries.ts"
import { withoutTypes } from "./withoutTypes.ts"

/** The nearest folder above this file that has the path: what is built lies deeper, and what is installed may have its libraries higher. */
const above = (path: string): URL => {
  for (let folder = new URL(".", import.meta.url); ;) {
    const higher = new URL("../", folder)
    if (existsSync(new URL(path, folder)) || higher.href === folder.href) return folder
    folder = higher
  }
}
const webFolder = (): URL => new URL("web/", above("web/index.html"))
const ofPackage = (file: string): URL => new URL(`node_modules/${file}`, above(`node_modules/${file}`))

interface Source {
  readonly address: string
  readonly text: string
}

const contentTypes: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  ts: "text/javascript; charset=utf-8",
  js: "text/javascript; charset=utf-8"
}
const ending = (address: string): string => address.slice(address.lastIndexOf(".") + 1)
const isScript = ({ address }: Source): boolean => /\.[jt]s$/.test(address)

const script = (address: string, text: string): string => withAddresses(text, address.split("/").length - 1)

/** The page's own files, and the document among them. */
const ownFiles = async (): Promise<ReadonlyArray<Source>> => {
  const web = webFolder()
  const names = (await readdir(fileURLToPath(web), { recursive: true }))
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => contentTypes[ending(name)] !== undefined && !name.endsWith(".d.ts"))
  return Promise.all(
    names.sort().map(async (address) => {
      const text = await readFile(new URL(address, web), "utf8")
      return { address, text: address.endsWith(".ts") ? script(address, withoutTypes(text)) : text }
    })
  )
}

const ofLibraries = (): Promise<ReadonlyArray<Source>> =>
  Promise.all([
    ...Object.entries(libraries).map(async ([name, file]) => {
      const address = libraryAddress(name)
      return { address, text: script(address, await readFile(ofPackage(file), "utf8")) }
    }),
    ...libraryStyles.map(async (file) => ({
      address: `lib/${file.slice(file.lastIndexOf("/") + 1)}`,
      text: await readFile(ofPackage(file), "utf8")
    }))
  ])

/** What the document loads: styles first, then every script, and the one that begins. */
const heads = (sources: ReadonlyArray<Source>, root: string): string =>
  [
    ...sources
      .filter(({ address }) => address.endsWith(".css"))
      .map(({ address }) => `<link rel="stylesheet" href="${root}${address}">`),
    ...sources.filter(isScript).map(({ address }) => `<link rel="modulepreload" href="${root}${address}">`),
    `<link rel="icon" href="${root}icon.svg" type="image/svg+xml">`,
    `<script type="module" src="${root}begin.ts"></script>`
  ].join("\n    ")

const digestOf = (text: string): string => hash("sha256", text, "base64url").slice(0, 12)

/** Every file by its address, relative to the document's. */
const allFiles = async (): Promise<ReadonlyMap<string, string>> => {
  const sources = [...(await ofLibraries()), ...(await ownFiles())]
  const beside = sources.filter(({ address }) => address !== "index.html")
  const document = sources.find(({ address }) => address === "index.html")?.text ?? ""
  const root = `web/${digestOf(beside.map(({ address, text }) => `${address}\n${text}`).join("\n"))}/`
  return new Map([
    ["", document.replace("<!-- files -->", () => heads(beside, root))],
    ...beside.map(({ address, text }): [string, string] => [`${root}${address}`, text])
  ])
}

type Encoding = PageFile["encoding"]
const asBrotli = promisify(brotliCompress)
const asGzip = promisify(gzip)

/** Quality 9 takes a tenth of the time of 11 for a twentieth more bytes. */
const compress = (text: string, encoding: Encoding): Promise<Uint8Array> =>
  encoding === "br"
    ? asBrotli(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })
    : encoding === "gzip"
      ? asGzip(text, { level: 9 })
      : Promise.resolve(new TextEncoder().encode(text))

const encodingFor = (accepted: string): Encoding => {
  const names = new Set(
    accepted
      .toLowerCase()
      .split(",")
      .map((part) => part.replaceAll(/\s/g, ""))
      .filter((part) => !/;q=0(?:\.0*)?$/.test(part))
      .map((part) => part.split(";")[0])
  )
  return names.has("br") ? "br" : names.has("gzip") ? "gzip" : undefined
}

export const WebFiles = Layer.effect(
  PageFiles,
  Effect.gen(function* () {
    const files = yield* Effect.cached(Effect.promise(allFiles))
    const ready = new Map<string, Promise<PageFile>>()
    const prepared = (address: string, text: string, encoding: Encoding) => {
      const key = `${encoding ?? "plain"} ${address}`
      const known = ready.get(key)
      if (known !== undefined) return known
      const made = compress(text, encoding).then((bytes): PageFile => ({
        bytes,
        encoding,
        contentType: contentTypes[address === "" ? "html" : ending(address)] ?? "text/plain",
        etag: `"${digestOf(text)}${encoding === undefined ? "" : `-${encoding}`}"`
      }))
      ready.set(key, made)
      return made
    }
    return PageFiles.of({
      find: (address, accepted) =>
        Effect.flatMap(files, (all) => {
          const text = all.get(address)
          return text === undefined
            ? Effect.succeed(undefined)
            : Effect.promise(() => prepared(address, text, encodingFor(accepted)))
        })
    })
  })
)
