/**
 * How a command ends that could not do what it was asked: a sentence on standard error, and 1; or 2 where what was typed makes
 * no sense. The help is shown to whoever asks for it.
 */
import { Cause, Console, Data, Effect, Exit, Layer, Option, Runtime } from "effect"
import { CliError, CliOutput } from "effect/cli"
import { blotPersonalNumbers } from "../../src/domain/PersonalNumber.ts"
import { describe } from "../../src/running/describe.ts"

/** A command cannot do what it was asked; `message` says why, to the person who typed it. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly message: string }> {}

/** What was typed makes no sense; `message` says what about it, by the name of the flag. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

const sayHelp = (path: ReadonlyArray<string>) => `\`${path.join(" ")} --help\` says more.`

/** Effect's messages end without a full stop, and its suggestions begin a paragraph. */
const sentence = (message: string): string =>
  message
    .replace(/\n\n {2}Did you mean this\?\n\s+/, ". Did you mean ")
    .replaceAll(/\n\s+/g, ", ")
    .replace(/(Did you mean .*)$/, "$1?")
    .replace(/([^.?!])$/, "$1.")

const plain = CliOutput.defaultFormatter()

/** Effect's help, with the blank line that it leaves out between subcommands and examples. */
const formatter = CliOutput.layer({
  ...plain,
  formatHelpDoc: (doc) => plain.formatHelpDoc(doc).replace(/(?<!\n)\n(\S*EXAMPLES)/, "\n\n$1")
})

const presenter = CliOutput.layerPresenter({
  present: (event) => {
    if (event._tag === "InvalidInvocation") {
      const lines = event.errors.map(({ message }) => sentence(message))
      return Console.error(blotPersonalNumbers([...lines, sayHelp(event.commandPath)].join("\n")))
    }
    if (event._tag === "Help" && event.reason === "Implicit" && event.commandPath.length > 1) {
      const names = (event.helpDoc.subcommands ?? []).flatMap(({ commands }) => commands.map(({ name }) => name))
      const missing = `${event.commandPath.join(" ")} needs one of: ${names.join(", ")}.`
      return Console.error(`${missing}\n${sayHelp(event.commandPath)}`)
    }
    return CliOutput.defaultPresenter.present(event)
  }
})

/** Help for whoever asks for it; a fault in one line, and where the help is. */
export const presentation = Layer.merge(formatter, presenter)

/** What a person is told of a failure: the message of a failure that is foreseen, the whole cause of any other. */
const tell = (cause: Cause.Cause<unknown>): string =>
  Option.match(Cause.findErrorOption(cause), {
    onSome: (error) => (error instanceof Error && error.message !== "" ? error.message : describe(cause)),
    onNone: () => Cause.pretty(cause)
  })

/** A command line that makes no sense has been answered already. */
const isTold = (cause: Cause.Cause<unknown>): boolean =>
  Cause.hasInterruptsOnly(cause) || Option.exists(Cause.findErrorOption(cause), CliError.isCliError)

/** Says what went wrong, if nobody has said it. */
export const tellFailure = <A, E, R>(command: Effect.Effect<A, E, R>) =>
  Effect.tapCause(command, (cause) => (isTold(cause) ? Effect.void : Console.error(blotPersonalNumbers(tell(cause)))))

/** An interrupt is a clean end: supervisors and people stop a service that way. `penstock` alone is answered with its help. */
export const exitCode = <A, E>(exit: Exit.Exit<A, E>): number => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return 0
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (CliError.isCliError(error)) {
    const isHelpOfAll = error._tag === "ShowHelp" && error.errors.length === 0 && error.commandPath.length <= 1
    return isHelpOfAll ? 0 : 2
  }
  return Runtime.getErrorExitCode(Cause.squash(exit.cause))
}
