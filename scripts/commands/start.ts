/** `penstock start`. The service is loaded only when it is run: that is half of what every other command would cost. */
import { Effect } from "effect"
import { Command } from "effect/cli"

export const start = Command.make("start", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("./runService.ts")),
    ({ runService }) => runService
  )
).pipe(
  Command.withDescription("Run the service"),
  Command.withExamples([
    { command: "penstock start", description: "With a PostgreSQL of its own, under .penstock/" },
    { command: "HTTP_PORT=9090 penstock start --json", description: "On another port, its log for programs" }
  ])
)
