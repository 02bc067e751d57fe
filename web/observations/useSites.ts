/** All sites that fit, page by page; the map shows them as they come. */
import { useEffect, useState } from "preact/hooks"
import { ask, Unanswered, withQuery } from "../asking/ask.ts"
import type { Page, Site } from "../asking/shapes.ts"

/** More dots than these nobody tells apart on a map of the country. */
const most = 10_000

export interface Sites {
  readonly sites: ReadonlyArray<Site>
  readonly complete: boolean
  readonly failure: Unanswered | undefined
}

export const useSites = (filter: {
  readonly name: string | undefined
  readonly council: string | undefined
}): Sites => {
  const [found, setFound] = useState<Sites>({ sites: [], complete: false, failure: undefined })
  useEffect(() => {
    const stop = new AbortController()
    const read = async () => {
      const sites: Array<Site> = []
      for (let cursor: string | undefined | null; cursor !== null;) {
        const page: Page<Site> = await ask<Page<Site>>(
          withQuery("observation/site", { ...filter, limit: 1000, cursor }),
          {
            signal: stop.signal
          }
        )
        sites.push(...page.items)
        cursor = sites.length >= most ? null : page.next_cursor
        if (stop.signal.aborted) return
        setFound({ sites: [...sites], complete: cursor === null, failure: undefined })
      }
    }
    read().catch((failure: unknown) => {
      if (stop.signal.aborted) return
      const known = failure instanceof Unanswered ? failure : new Unanswered("refused", 0, "the answer is not readable")
      setFound((before) => ({ ...before, failure: known }))
    })
    return () => stop.abort()
  }, [filter.name, filter.council])
  return found
}
