/**
 * The few rules of writing XML that Hilltop's documents need.
 *
 * Like the real server it writes some characters of units as numeric references (`m&#179;/sec`, `&#186;C`) and others as
 * they are (`°`), without ever declaring an encoding; a reader has to take both.
 */

const special = /[&<>]/g
const entity: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" }

export const escapeText = (text: string): string => text.replace(special, (character) => entity[character] ?? character)

export const escapeAttribute = (text: string): string => escapeText(text).replaceAll('"', "&quot;")

export const reference = (character: string): string => `&#${character.codePointAt(0)};`

export const escapeUnits = (units: string): string => escapeText(units).replace(/[º²³]/g, reference)

/** The first line of every document that is not an error. */
export const declaration = '<?xml version="1.0" ?>\n'

/** An element on a line of its own, or nothing at all where there is no value. */
export const line = (name: string, text: string | undefined): string =>
  text === undefined ? "" : `<${name}>${text}</${name}>\n`

/** A missing site, an unknown request: status 200, no declaration, no line feed at the end. */
export const errorDocument = (text: string): string =>
  `<HilltopServer><Error>${escapeText(text)}</Error></HilltopServer>`
