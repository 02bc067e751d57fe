/**
 * `penstock task …`: the requests that are made to Hilltop servers again and again, and how their last runs went.
 */
import { Console, Effect, Option, Schema, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { PgHilltopAdministration } from "../../layers/api/PgHilltopAdministration.ts"
import { HilltopAdministration, type TaskFilter, TaskStatus, TaskView } from "../../src/api/HilltopAdministration.ts"
import { RequestType } from "../../src/domain/FetchTask.ts"
import { formatInstant } from "../../src/domain/Instant.ts"
import { Json } from "./globalFlags.ts"
import { answer, type Cell, print, printJson, printTable } from "./output.ts"
import { CommandFailed } from "./told.ts"
import { withDatabase } from "./withDatabase.ts"

const onTasks = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  withDatabase(Effect.provide(command, PgHilltopAdministration))

const flags = {
  source: Flag.Int("source").pipe(Flag.withDescription("Only those of this source"), Flag.optional),
  type: Flag.Literals("type", RequestType.literals).pipe(
    Flag.withDescription("Only this kind of request"),
    Flag.optional
  ),
  status: Flag.Literals("status", TaskStatus.literals).pipe(
    Flag.withDescription(
      "due: waits for a worker; scheduled: for its time; claimed: runs now; failing: failed, is tried again; set_aside: rests, and `list` says why"
    ),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withDescription("At most so many, the oldest tasks first"),
    Flag.filter(
      (limit) => limit >= 1,
      () => "a number of at least 1"
    ),
    Flag.withDefault(100)
  )
}

/** A task with its history has up to 10 kB. */
const pageSize = 500

/** Page by page, so that a long list does not have to be held. */
const pagesOf = (filter: Omit<TaskFilter, "after">) =>
  Stream.paginate({ after: 0, left: filter.limit }, ({ after, left }) =>
    Effect.gen(function* () {
      const administration = yield* HilltopAdministration
      const limit = Math.min(left, pageSize)
      const tasks = limit < 1 ? [] : yield* administration.listTasks({ ...filter, after, limit })
      const last = tasks.at(-1)
      const isLast = last === undefined || tasks.length < limit
      return [[tasks], isLast ? Option.none() : Option.some({ after: last.id, left: left - limit })] as const
    })
  )

/** The result of the last run, as its history has it. */
const lastResult = ({ history }: TaskView): string | null => {
  const last = history.at(-1)
  return typeof last === "object" && last !== null && "result" in last ? String(last.result) : null
}

const statusOf = ({ set_aside_reason, status, unavailable_since }: TaskView): string => {
  const reason = set_aside_reason ?? (unavailable_since === null ? undefined : "unavailable")
  return reason === undefined ? status : `${status} (${reason})`
}

const head = ["id", "source", "type", "status", "next fetch", "attempts", "last result", "why then", "url"]
const rowOf = (task: TaskView): ReadonlyArray<Cell> => [
  task.id,
  task.source_id,
  task.request_type,
  statusOf(task),
  formatInstant(task.next_fetch_at).slice(0, 19).replace("T", " "),
  task.attempts,
  lastResult(task),
  task.refresh?.reason ?? null,
  task.fetch_url
]

const list = Command.make(
  "list",
  flags,
  Effect.fnUntraced(function* ({ limit, source, status, type }) {
    const pages = pagesOf({
      source: Option.getOrUndefined(source),
      type: Option.getOrUndefined(type),
      status: Option.getOrUndefined(status),
      limit
    })
    if (yield* Json) {
      const encode = Schema.encodeEffect(Schema.Array(TaskView))
      return yield* Stream.runForEach(pages, (tasks) => Effect.flatMap(encode(tasks), printJson))
    }
    const rows = yield* Stream.runCollect(Stream.map(pages, (tasks) => tasks.map(rowOf)))
    const found = rows.flat()
    if (found.length === 0) return yield* print("There are no such tasks.")
    yield* printTable(head, found)
    if (found.length === limit) yield* Console.error(`These are the first ${limit}; --limit shows more.`)
  }, onTasks)
).pipe(
  Command.withDescription("Show tasks: what is asked, when next, and how the last run went (times in UTC)"),
  Command.withExamples([
    { command: "penstock task list --status set_aside", description: "What was given up on" },
    { command: "penstock task list --source 3 --status failing --json", description: "With the reasons, for a program" }
  ])
)

const run = Command.make(
  "run",
  { id: Argument.Int("id").pipe(Argument.withDescription("Number of the task, as `task list` shows it")) },
  Effect.fnUntraced(function* ({ id }) {
    const administration = yield* HilltopAdministration
    const task = yield* administration.runTask(id)
    if (task === undefined)
      return yield* new CommandFailed({ message: `There is no task ${id}. \`penstock task list\` shows them.` })
    const source = yield* administration.findSource(task.source_id)
    const paused = source?.paused === true
    const lines = [
      task.status === "claimed" ? `Task ${id} is running at this moment.` : `Task ${id} is due now.`,
      ...(paused ? [`Its source ${task.source_id} is paused: nothing is asked before it is resumed.`] : [])
    ]
    yield* answer(lines, { id, status: task.status, source_id: task.source_id, source_paused: paused })
  }, onTasks)
).pipe(Command.withDescription("Make a task due now, also one that was given up on"))

export const task = Command.make("task").pipe(
  Command.withDescription("Requests that are made to Hilltop servers: list them, run one now"),
  Command.withSubcommands([list, run])
)
