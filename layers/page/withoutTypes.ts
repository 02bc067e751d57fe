/**
 * A script of the page as browsers read it: without its types, which the platform takes out, as it does for the service itself.
 *
 * The platform calls this experimental, once, on standard error, where only log lines belong; so the call is kept from warning.
 */
import { stripTypeScriptTypes } from "node:module"

/** Lines and columns stay where they are; blanks at the end of a line do not. */
export const withoutTypes = (source: string): string => {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source).replaceAll(/[ \t]+$/gm, "")
  } finally {
    process.emitWarning = emitWarning
  }
}
