/**
 * The flags that every command has: the form of what it prints, and how much it logs.
 *
 * They are worth as much as the settings of the same meaning, and go before them.
 */
import { ConfigProvider, Console, Effect, Layer, Option, References } from "effect"
import { Completions, Flag, GlobalFlag } from "effect/cli"

/** Whether results are printed for programs: one JSON object a line. */
export const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withDescription("Results for programs: one JSON object a line"),
    Flag.withDefault(false)
  )
})

export const LogLevel = GlobalFlag.Setting("log-level")({
  flag: Flag.ChoiceWithValue("log-level", [
    ["trace", "Trace"],
    ["debug", "Debug"],
    ["info", "Info"],
    ["warn", "Warn"],
    ["error", "Error"],
    ["none", "None"]
  ] as const).pipe(Flag.optional, Flag.withDescription("Least level that is logged"), Flag.withMetavar("level"))
})

/** Effect's own, with a name of its value that leaves room for what it does. */
export const ShellCompletions = GlobalFlag.Action({
  flag: Flag.Literals("completions", ["bash", "zsh", "fish", "powershell"]).pipe(
    Flag.optional,
    Flag.withDescription("Print a completion script"),
    Flag.withMetavar("shell")
  ),
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (name) => Console.log(Completions.generate(command.name, name, Completions.fromCommand(command)))
    })
})

/** The flags as settings, for whatever the command builds. */
export const flagsAsSettings = Layer.unwrap(
  Effect.gen(function* () {
    const level = yield* LogLevel
    const settings = {
      ...((yield* Json) ? { LOG_FORMAT: "json" } : {}),
      ...Option.match(level, { onNone: () => ({}), onSome: (name) => ({ LOG_LEVEL: name.toLowerCase() }) })
    }
    return Layer.merge(
      ConfigProvider.layerAdd(ConfigProvider.fromEnvRecord(settings), { asPrimary: true }),
      Option.match(level, {
        onNone: () => Layer.empty,
        onSome: (name) => Layer.succeed(References.MinimumLogLevel, name)
      })
    )
  })
)
