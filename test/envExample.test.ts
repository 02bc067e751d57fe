/**
 * `.env.example` has every setting with its meaning and default, as the code has them; `npx vitest run test/envExample.test.ts -u`
 * writes it anew.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { checkSettings, type Setting, Settings } from "../layers/Settings.ts"

const file = resolve(import.meta.dirname, "../.env.example")

const head = `# Penstock's settings, each with its default. Copy to .env, and take away the # before those that you set: \`docker compose\` reads it
# by itself, \`node --env-file=.env scripts/penstock.ts start\` when told to. Keys: openssl rand -base64 24
`

/** A default that is a value stands in code, or is a number; other words say what happens without one. */
const valueOf = (fallback: string): string =>
  /^[\d.]+$/.test(fallback) ? fallback : (/^`([^`]+)`$/.exec(fallback)?.[1] ?? "")

const paragraphs = Object.entries<Setting<unknown>>(Settings).map(([name, { fallback, meaning }]) => {
  const value = valueOf(fallback)
  const without = value === "" ? ` (without it: ${fallback.replaceAll("`", "")})` : ""
  return `\n# ${meaning.replaceAll("`", "")}${without}\n#${name}=${value}\n`
})

/** What only `docker-compose.yml` asks for. */
const ofCompose = `
# Of docker compose alone: password of its PostgreSQL; ports of the instances that answer, one each; ports and password of the profile
# metrics
#POSTGRES_PASSWORD=penstock
#HTTP_PORTS=8080-8081
#PROMETHEUS_PORT=9090
#GRAFANA_PORT=3000
#GRAFANA_PASSWORD=penstock
`

describe(".env.example", () => {
  it("has every setting with its meaning and default", async () => {
    await expect(`${head}${paragraphs.join("")}${ofCompose}`).toMatchFileSnapshot(file)
  })

  it("has all that docker-compose.yml asks for, with its default there", () => {
    const compose = readFileSync(resolve(file, "../docker-compose.yml"), "utf8")
    const asked = [...compose.matchAll(/\$\{([A-Z_]+):-([^}$]*)/g)].map(
      ([, name = "", value = ""]) => [name, value] as const
    )
    const text = readFileSync(file, "utf8")
    for (const [name, value] of asked) {
      assert.include(text, name in Settings ? `#${name}=` : `#${name}=${value}\n`)
    }
  })

  it("can be used with every line that has a value", async () => {
    const lines = readFileSync(file, "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, name, value] = /^#([A-Z_]+)=(.+)$/.exec(line) ?? []
        return name === undefined || value === undefined ? [] : [[name, value] as const]
      })
    assert.isAbove(lines.length, 20)
    const provider = ConfigProvider.fromEnvRecord(Object.fromEntries(lines))
    await Effect.runPromise(Effect.provide(checkSettings, ConfigProvider.layer(provider)))
  })
})
