/** Something that a button does: one at a time, and what came of it in words. */
import { useCallback, useState } from "preact/hooks"

export interface Action {
  readonly run: (doing: () => Promise<string>) => void
  readonly busy: boolean
  readonly said: { readonly good: boolean; readonly text: string } | undefined
  readonly forget: () => void
}

export const useAction = (): Action => {
  const [busy, setBusy] = useState(false)
  const [said, setSaid] = useState<Action["said"]>()
  const run = useCallback((doing: () => Promise<string>) => {
    setBusy(true)
    setSaid(undefined)
    doing()
      .then(
        (text) => setSaid({ good: true, text }),
        (failure: unknown) => setSaid({ good: false, text: failure instanceof Error ? failure.message : "it failed" })
      )
      .finally(() => setBusy(false))
  }, [])
  return { run, busy, said, forget: useCallback(() => setSaid(undefined), []) }
}
