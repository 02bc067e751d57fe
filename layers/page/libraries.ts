/**
 * The libraries of the page, by the names under which its scripts import them, and where each lies. They are served as their
 * packages have them, but for the names of one another, which a browser cannot look up.
 */
export const libraries: Readonly<Record<string, string>> = {
  preact: "preact/dist/preact.mjs",
  "preact/hooks": "preact/hooks/dist/hooks.mjs",
  htm: "htm/dist/htm.module.js",
  uplot: "uplot/dist/uPlot.esm.js"
}

/** Styles that come with them. */
export const libraryStyles: ReadonlyArray<string> = ["uplot/dist/uPlot.min.css"]

/** Where a library is served, relative to the root of the page's files. */
export const libraryAddress = (name: string): string => `lib/${name.replaceAll("/", "-")}.js`

const imported = /(\bfrom\s*|\bimport\s*)(["'])([^"'.][^"']*)\2/g

/** The script with the addresses of the libraries it imports, seen from `depth` folders below the root. */
export const withAddresses = (script: string, depth: number): string =>
  script
    .replaceAll(imported, (whole, before: string, quote: string, name: string) =>
      Object.hasOwn(libraries, name)
        ? `${before}${quote}${depth === 0 ? "./" : "../".repeat(depth)}${libraryAddress(name)}${quote}`
        : whole
    )
    // Whoever opens the browser's tools would ask for maps that are not served.
    .replaceAll(/^\/\/# sourceMappingURL=.*$/gm, "")
