/** Promises broken on purpose, to see that a run notices: some lines of the service are others when its instances load them. */
import { type Edit, editsOf } from "./sourceEdits.ts"

const edits = {
  /** A run whose lease is gone goes on, and settles whatever has become of its task. */
  fencing: [
    {
      file: "layers/crawl/PgHilltopQueue.ts",
      from: `CROSS JOIN LATERAL (SELECT l.due_at, l.origin FROM hilltop_fetch_leases l
                WHERE l.task_id = run.id AND l.fence = run.fence LIMIT 1) lease`,
      to: `CROSS JOIN LATERAL (SELECT t.next_fetch_at AS due_at, t.origin FROM hilltop_fetch_tasks t
                WHERE t.id = run.id LIMIT 1) lease`
    },
    {
      file: "layers/crawl/PgHilltopQueue.ts",
      from: "WHERE (f.fence IN (SELECT fence FROM asked)) IS TRUE AND",
      to: "WHERE"
    },
    {
      file: "layers/crawl/PgHilltopQueue.ts",
      from: "WHERE t.id = run.id AND (run.id IN (SELECT task_id FROM ended)) IS TRUE",
      to: `WHERE t.id = run.id AND ((run.id IN (SELECT task_id FROM ended)) IS TRUE
                OR NOT EXISTS (SELECT FROM hilltop_fetch_leases l WHERE l.task_id = run.id))`
    },
    {
      file: "src/crawl/TaskWorker.ts",
      from: "Effect.raceFirst(within(claim, run(held.task)), untilLost(name, held))",
      to: "within(claim, run(held.task))"
    },
    {
      file: "src/crawl/TaskWorker.ts",
      from: "yield* FiberMap.remove(running, each.task.id)",
      to: "yield* Effect.void"
    }
  ],
  /** A document is published some time after its task says that it was. */
  publishing: [
    {
      file: "src/crawl/runTask.ts",
      from: "yield* publish(record, mayBeSettledLater(task))",
      to: "yield* Effect.forkDetach(Effect.delay(publish(record, false), 10_000))"
    }
  ],
  /** What a claim fetched is written whatever was written since. */
  version: [
    {
      file: "src/sync/synchronize.ts",
      from: `version === claim.version ? undefined : "superseded"`,
      to: `version === claim.version ? undefined : undefined`
    }
  ]
} as const satisfies Readonly<Record<string, ReadonlyArray<Edit>>>

export type BreakName = keyof typeof edits
export const breakNames = Object.keys(edits) as ReadonlyArray<BreakName>
export const filesOf = (name: BreakName): ReadonlyArray<string> => [...new Set(edits[name].map(({ file }) => file))]

/** What a file of the repository is instead, where the break is about it; no break where nothing is named. */
export const breakNamed = (name: string | undefined) => {
  const isBreak = (known: string): known is BreakName => Object.hasOwn(edits, known)
  if (name === undefined) return undefined
  if (!isBreak(name)) throw new Error(`There is no break "${name}"; there are ${breakNames.join(", ")}.`)
  return editsOf(edits[name], `the break "${name}"`)
}
