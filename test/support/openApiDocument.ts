/**
 * The OpenAPI document as those have it who use it: its operations, what it says of an answer, and values that fit its schemas.
 */
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import * as fc from "fast-check"

export interface JsonSchema {
  readonly [keyword: string]: unknown
  readonly $ref?: string
  readonly type?: string
  readonly format?: string
  readonly pattern?: string
  readonly enum?: ReadonlyArray<unknown>
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: ReadonlyArray<string>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly allOf?: ReadonlyArray<JsonSchema>
}

interface Media {
  readonly schema: JsonSchema
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}
export interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly required: boolean
  readonly description?: string
  readonly schema: JsonSchema
  readonly example?: unknown
}
interface Operation {
  readonly operationId: string
  readonly security: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly parameters: ReadonlyArray<Parameter>
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description: string
        readonly headers?: Readonly<Record<string, { readonly required: boolean; readonly schema: JsonSchema }>>
        readonly content?: Readonly<Record<string, Media>>
      }
    >
  >
}
export interface OpenApiDocument {
  readonly openapi: string
  readonly servers: ReadonlyArray<{ readonly url: string }>
  readonly tags: ReadonlyArray<{ readonly name: string }>
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>
    readonly securitySchemes: Readonly<Record<string, unknown>>
  }
}

export interface Described extends Operation {
  readonly path: string
  readonly method: string
}
export const operationsOf = ({ paths }: OpenApiDocument): ReadonlyArray<Described> =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method }))
  )

const pointer = (...keys: ReadonlyArray<string>) =>
  keys.map((key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Says what of an answer is not as the document has it; nothing where all is. */
export const faultsIn = (document: OpenApiDocument) => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true })
  addFormats.default(ajv)
  ajv.addSchema(document, "document")
  const faultsOf = (place: string, value: unknown): ReadonlyArray<string> => {
    const validate = ajv.getSchema(`document#/${place}`)
    if (validate === undefined) return [`the document has no ${place}`]
    return validate(value) === true
      ? []
      : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
  }
  return ({ method, path, responses }: Described, answer: Answer): ReadonlyArray<string> => {
    const response = responses[String(answer.status)]
    if (response === undefined) return [`${answer.status} is not documented`]
    const place = pointer("paths", path, method, "responses", String(answer.status))
    const headers = Object.entries(response.headers ?? {}).flatMap(([name, { required, schema }]) => {
      const text = answer.headers.get(name)
      if (text === null) return required ? [`the header ${name} is missing`] : []
      const value = schema.type === "integer" ? Number(text) : text
      return faultsOf(`${place}/${pointer("headers", name, "schema")}`, value)
    })
    if (response.content === undefined) return answer.text === "" ? headers : [...headers, "a body is not documented"]
    const type = (answer.headers.get("content-type") ?? "").split(";")[0] ?? ""
    if (response.content[type] === undefined) return [...headers, `the media type ${type} is not documented`]
    const body = /[/+]json$/.test(type) ? (JSON.parse(answer.text) as unknown) : answer.text
    return [...headers, ...faultsOf(`${place}/${pointer("content", type, "schema")}`, body)]
  }
}

const dateTime = fc
  .tuple(
    // All that RFC 3339 can say of a time, in years that it has.
    fc.date({ min: new Date("0001-01-02T00:00:00Z"), max: new Date("9999-12-30T00:00:00Z"), noInvalidDate: true }),
    fc.stringMatching(/^(\.[0-9]{1,9})?$/),
    fc.stringMatching(/^([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$/),
    fc.constantFrom("T", "t")
  )
  .map(([date, fraction, offset, t]) => `${date.toISOString().slice(0, 19).replace("T", t)}${fraction}${offset}`)

const byFormat: Readonly<Record<string, fc.Arbitrary<string>>> = {
  "date-time": dateTime,
  date: dateTime.map((text) => text.slice(0, 10)),
  uuid: fc.uuid()
}

const merged = (schema: JsonSchema): JsonSchema =>
  Object.assign({}, ...(schema.allOf ?? []).map(merged), schema) as JsonSchema

/** Values that fit a schema; `special` has those of some components. */
export const valuesOf = (
  { components }: OpenApiDocument,
  special: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  schema: JsonSchema,
  depth = 0
): fc.Arbitrary<unknown> => {
  const inner = (part: JsonSchema) => valuesOf({ components } as OpenApiDocument, special, part, depth + 1)
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? ""
    // Of JSON within JSON a little will do.
    return special[name] ?? (depth > 6 ? fc.constant(null) : inner(components.schemas[name] ?? {}))
  }
  const { anyOf, enum: values, format, items, pattern, properties, required, type, ...rest } = merged(schema)
  if (values !== undefined) return fc.constantFrom(...values)
  if (anyOf !== undefined) return fc.oneof(...anyOf.map(inner))
  switch (type) {
    case "string":
      return pattern !== undefined
        ? fc.stringMatching(new RegExp(pattern, "u"))
        : (byFormat[format ?? ""] ??
            fc.string({
              minLength: rest.minLength ?? 0,
              maxLength: Math.min(rest.maxLength ?? 1_000, 1_000),
              unit: "binary",
              size: "medium"
            }))
    case "integer":
      return fc.integer({
        min: rest.minimum ?? Number.MIN_SAFE_INTEGER,
        max: rest.maximum ?? Number.MAX_SAFE_INTEGER
      })
    case "number":
      return fc.double({
        ...(rest.minimum === undefined ? {} : { min: rest.minimum }),
        ...(rest.maximum === undefined ? {} : { max: rest.maximum }),
        noNaN: true,
        noDefaultInfinity: true
      })
    case "boolean":
      return fc.boolean()
    case "null":
      return fc.constant(null)
    case "array":
      return fc.array(inner(items ?? {}), { minLength: rest.minItems ?? 0, maxLength: Math.min(rest.maxItems ?? 5, 5) })
    case "object":
      return fc
        .tuple(
          fc.record(Object.fromEntries(Object.entries(properties ?? {}).map(([name, part]) => [name, inner(part)])), {
            requiredKeys: [...(required ?? [])]
          }),
          // Fields that are not described may come as well.
          fc.option(fc.constant({ "x-further": [1, { field: null }] }), { freq: 5, nil: {} })
        )
        .map(([described, further]) => ({ ...further, ...described }))
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}
