/**
 * Lines of the service that are others when an instance of a run loads them. Nothing of this is in the service, and no setting of it
 * leads here.
 *
 * A line that is not there any more fails the instance: an edit that edits nothing would show nothing.
 */
export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** What a file of the repository is instead; nothing where these edits are not about it. `what` they are is for the error. */
export const editsOf =
  (edits: ReadonlyArray<Edit>, what: string) =>
  (file: string): ((source: string) => string) | undefined => {
    const those = edits.filter((edit) => edit.file === file)
    if (those.length === 0) return undefined
    return (source) =>
      those.reduce((text, { from, to }) => {
        if (!text.includes(from)) throw new Error(`${file} does not say any more what ${what} changes: ${from}`)
        return text.replace(from, () => to)
      }, source)
  }
