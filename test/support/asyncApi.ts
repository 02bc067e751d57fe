/**
 * `docs/asyncapi.yaml`, and what it says of a record: nothing if that is as one of its channel's messages.
 *
 * Schemas are those of JSON Schema draft 7, which AsyncAPI builds on. A header that no message names is a fault as well: what is
 * published is described.
 */
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { Option, Predicate, Schema } from "effect"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { parse } from "yaml"

interface Ref {
  readonly $ref: string
}
interface Message {
  readonly name: string
  readonly contentType?: string
  readonly headers: Ref | { readonly properties: Readonly<Record<string, unknown>> }
  readonly examples: ReadonlyArray<{ readonly headers?: unknown; readonly payload?: unknown }>
}
interface Channel {
  readonly address: string
  readonly messages: Readonly<Record<string, Ref>>
  readonly bindings:
    | Ref
    | {
        readonly kafka: {
          readonly partitions: number
          readonly topicConfiguration?: Readonly<Record<string, unknown>>
        }
      }
}
export interface AsyncApi {
  readonly channels: Readonly<Record<string, Channel>>
  readonly components: { readonly messages: Readonly<Record<string, Message>> }
}

/** A record with key and value as they were sent. */
export interface DescribedRecord {
  readonly key: string
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
}

const path = join(resolve(import.meta.dirname, "../.."), "docs/asyncapi.yaml")
export const asyncApi: AsyncApi = parse(readFileSync(path, "utf8"))

const at = (node: unknown, name: string): unknown => (Predicate.hasProperty(node, name) ? node[name] : undefined)

/** What a reference within the document leads to; undefined where it leads nowhere. */
export const follow = ($ref: string): unknown => $ref.slice(2).split("/").reduce(at, asyncApi)

/** What is there, or what is referred to. */
export const resolved = <A extends object>(value: A | Ref): A => ("$ref" in value ? (follow(value.$ref) as A) : value)

const ajv = new Ajv({ strict: false, allErrors: true })
addFormats.default(ajv)
ajv.addSchema({ components: asyncApi.components }, "asyncapi")

/** What is wrong with a value by the schema of a message's part; empty where nothing is, or it has no such schema. */
export const faultsOf = (
  message: string,
  part: "payload" | "headers" | "bindings/kafka/key",
  value: unknown
): string => {
  const validate = ajv.getSchema(`asyncapi#/components/messages/${message}/${part}`)
  if (validate === undefined || validate(value) === true) return ""
  return ajv.errorsText(validate.errors, { dataVar: `${message}.${part}` })
}

const named = (reference: Ref): string => reference.$ref.slice("#/components/messages/".length)
export const messagesOf = (channel: string): ReadonlyArray<string> =>
  Object.values(asyncApi.channels[channel]?.messages ?? {}).map(named)

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))
/** The text itself where it is no JSON. */
const asJson = (text: string): unknown => Option.getOrElse(parseJson(text), () => text)

/** What is wrong with a record of the channel, by each message that it might be; empty where it is one of them. */
export const recordFaults = (channel: string, { headers, key, value }: DescribedRecord): ReadonlyArray<string> => {
  const faults = messagesOf(channel).map((name) => {
    const { headers: described = { properties: {} } } = asyncApi.components.messages[name] ?? {}
    const known = Object.keys(resolved(described).properties)
    const undescribed = name === "DeadLetter" ? [] : Object.keys(headers).filter((header) => !known.includes(header))
    return [
      faultsOf(name, "payload", asJson(value)),
      faultsOf(name, "headers", headers),
      faultsOf(name, "bindings/kafka/key", asJson(key)),
      ...undescribed.map((header) => `${name} has a header ${header} that is not described`)
    ].filter((fault) => fault !== "")
  })
  return faults.some((each) => each.length === 0) ? [] : faults.flat()
}
