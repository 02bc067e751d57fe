#!/usr/bin/env node
/**
 * `npm run contract`: writes `docs/adapter-contract.schema.json`, what an adapter answers and the events it sends as JSON Schema, from
 * the schemas that they are decoded with. A test holds the file against them.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Path, Schema } from "effect"
import { AdapterBody } from "../src/domain/AccountingPoint.ts"
import { CloudEvent, PlainEvent } from "../src/domain/ThinEvent.ts"

const documentOf = (schema: Schema.Constraint) => Schema.toJsonSchemaDocument(schema)

/** The file's text. */
export const contractText = (): string => {
  const [answer, event, cloudEvent] = [AdapterBody, PlainEvent, CloudEvent].map(documentOf)
  const contract = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Penstock's adapter contract",
    description:
      "The body of an adapter's 200; in $defs the events that it may send. Validate with formats asserted. What no schema says is in docs/adapter-authors.md. Made by npm run contract.",
    ...answer?.schema,
    $defs: {
      ...answer?.definitions,
      ...event?.definitions,
      ...cloudEvent?.definitions,
      event: event?.schema,
      cloud_event: cloudEvent?.schema
    }
  }
  return `${JSON.stringify(contract, undefined, 2)}\n`
}

const write = Effect.gen(function* () {
  const [fs, path] = [yield* FileSystem.FileSystem, yield* Path.Path]
  yield* fs.writeFileString(path.resolve("docs/adapter-contract.schema.json"), contractText())
})

if (import.meta.main) NodeRuntime.runMain(Effect.provide(write, NodeServices.layer))
