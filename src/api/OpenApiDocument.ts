/**
 * What the OpenAPI document says beyond what the schemas and endpoints say by themselves.
 *
 * Effect describes what goes over the wire: there a number in an address or a header is text, all operations need the same key,
 * and an example of a whole body has no place. For readers and for clients a number is a number, each operation names the
 * keys it takes, and examples stand where they are looked for. Nothing is made up here: all of it is read from the declarations.
 */
import { Context, Predicate, Schema, SchemaAST } from "effect"
import { HttpApiSchema, type OpenApi } from "effect/http-api"
import { RequiredScope, type Scope, scopes } from "./ApiKeys.ts"

/** Bodies that an endpoint answers as they stand, by media type and by name. */
export class BodyExamples extends Context.Service<
  BodyExamples,
  Readonly<Record<string, Readonly<Record<string, unknown>>>>
>()("penstock/api/BodyExamples") {}

/** Of a group what is read here. */
interface Declared {
  readonly annotations: Context.Context<never>
  readonly endpoints: Readonly<Record<string, DeclaredEndpoint>>
}
interface DeclaredEndpoint {
  readonly method: string
  readonly path: string
  readonly annotations: Context.Context<never>
  readonly params?: Schema.Top | undefined
  readonly query?: Schema.Top | undefined
  readonly headers?: Schema.Top | undefined
  readonly success: ReadonlySet<Schema.Top>
  readonly error: ReadonlySet<Schema.Top>
}

type JsonSchema = OpenApi.OpenAPIComponents["schemas"][string]
type Schemas = OpenApi.OpenAPIComponents["schemas"]

const keyNames: Readonly<Record<Scope, string>> = {
  lookup: "lookupKey",
  event: "eventKey",
  read: "readKey",
  admin: "adminKey"
}
const keyDescriptions: Readonly<Record<Scope, string>> = {
  lookup: "A key of `LOOKUP_API_KEYS`, for systems of service providers.",
  event: "A key of `EVENT_API_KEYS`, for adapters that tell of changes.",
  read: "A key of `READ_API_KEYS`, for readers of copies, observations and figures.",
  admin: "A key of `ADMIN_API_KEYS`, for operators."
}

const securitySchemes: OpenApi.OpenAPIComponents["securitySchemes"] = Object.fromEntries(
  scopes.map((scope) => [
    keyNames[scope],
    { type: "http", scheme: "bearer", description: keyDescriptions[scope] } as const
  ])
)

/** A schema as it was declared: the codec made of it for addresses and headers keeps it. */
const declaredOf = (codec: Schema.Top): Schema.Top =>
  Predicate.hasProperty(codec, "schema") && Schema.isSchema(codec.schema) ? declaredOf(codec.schema) : codec

const isPrimitive = ({ type }: JsonSchema): boolean => type === "integer" || type === "number" || type === "boolean"

/** The fields that are numbers or booleans to those who write them, as JSON has them. */
const primitivesOf = (codec: Schema.Top | undefined): ReadonlyArray<readonly [string, JsonSchema]> => {
  if (codec === undefined) return []
  const { ast } = declaredOf(codec)
  if (!SchemaAST.isObjects(ast)) return []
  return ast.propertySignatures
    .map(({ name, type }) => [String(name), Schema.toJsonSchemaDocument(Schema.make(type)).schema] as const)
    .filter(([, schema]) => isPrimitive(schema))
}

interface Described {
  readonly schema: JsonSchema
  readonly description?: string
  readonly example?: unknown
}

/** The same with the description and the first example beside the schema, where readers of parameters and headers look. */
const beside = (schema: JsonSchema, schemas: Schemas): Described => {
  const reference = typeof schema.$ref === "string" ? schema.$ref.split("/").at(-1) : undefined
  const { description, examples, ...rest } = reference === undefined ? schema : (schemas[reference] ?? schema)
  return {
    schema: reference === undefined ? rest : schema,
    ...(typeof description === "string" ? { description } : {}),
    ...(Array.isArray(examples) ? { example: examples[0] } : {})
  }
}

const headersOf = (groups: ReadonlyArray<Declared>): ReadonlyMap<string, JsonSchema> =>
  new Map(
    groups
      .flatMap(({ endpoints }) => Object.values(endpoints))
      .flatMap(({ error, success }) => [...success, ...error])
      .flatMap((schema) => (HttpApiSchema.isWithHeaders(schema) ? primitivesOf(schema.headers) : []))
  )

const responsesWith = (
  responses: OpenApi.OpenAPISpecResponses,
  numbers: ReadonlyMap<string, JsonSchema>,
  schemas: Schemas
): OpenApi.OpenAPISpecResponses =>
  Object.fromEntries(
    Object.entries(responses).map(([status, { headers, ...response }]) => [
      status,
      headers === undefined
        ? response
        : {
            ...response,
            headers: Object.fromEntries(
              Object.entries(headers).map(([name, header]) => [
                name,
                { ...header, ...beside(numbers.get(name) ?? (header.schema as JsonSchema), schemas) }
              ])
            )
          }
    ])
  )

const withExamples = (content: OpenApi.OpenApiSpecContent, examples: BodyExamples["Service"]) =>
  Object.fromEntries(
    Object.entries(content).map(([mediaType, media]) => [
      mediaType,
      examples[mediaType] === undefined
        ? media
        : {
            ...media,
            examples: Object.fromEntries(
              Object.entries(examples[mediaType]).map(([summary, value]) => [
                summary.replaceAll(/\W+/g, "-"),
                { summary, value }
              ])
            )
          }
    ])
  )

const keySentence = (needed: ReadonlyArray<Scope>): string =>
  needed.length === scopes.length
    ? "Needs a key, of whichever scope."
    : `Needs a key of the scope ${needed.map((scope) => `\`${scope}\``).join(" or ")}.`

const operationWith = (
  operation: OpenApi.OpenAPISpecOperation,
  group: Declared,
  endpoint: DeclaredEndpoint,
  headers: ReadonlyMap<string, JsonSchema>,
  schemas: Schemas
): OpenApi.OpenAPISpecOperation => {
  const numbers = new Map([endpoint.params, endpoint.query, endpoint.headers].flatMap(primitivesOf))
  const needed = Context.getOrUndefined(group.annotations, RequiredScope)
  const examples = Context.getOrUndefined(endpoint.annotations, BodyExamples)
  const description = [operation.description, needed === undefined ? undefined : keySentence(needed)]
    .filter((sentence) => sentence !== undefined)
    .join(" ")
  return {
    ...operation,
    ...(description === "" ? {} : { description }),
    parameters: operation.parameters.map((parameter) => ({
      ...parameter,
      ...beside(numbers.get(parameter.name) ?? (parameter.schema as JsonSchema), schemas)
    })),
    ...(operation.requestBody === undefined || examples === undefined
      ? {}
      : { requestBody: { ...operation.requestBody, content: withExamples(operation.requestBody.content, examples) } }),
    responses: responsesWith(operation.responses, headers, schemas),
    // Any one of them will do.
    security: (needed ?? []).map((scope) => ({ [keyNames[scope]]: [] }))
  }
}

const safest: Readonly<Record<string, number>> = {
  minimum: Number.MIN_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER
}

/**
 * Without `additionalProperties: false`, since further fields are ignored, and without the bounds that every integer has: they
 * tell nothing, and makers of examples take them for one.
 */
const lenient = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(lenient)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, inner]) => (key !== "additionalProperties" || inner !== false) && inner !== safest[key])
      .map(([key, inner]) => [key, lenient(inner)])
  )
}

/** Completes the document of an API of these groups. */
export const completed =
  (groups: ReadonlyArray<Declared>) =>
  (document: Readonly<Record<string, unknown>>): Record<string, unknown> => {
    const spec = document as unknown as OpenApi.OpenAPISpec
    const { schemas } = spec.components
    const headers = headersOf(groups)
    const paths: Record<string, OpenApi.OpenAPISpecPathItem> = { ...spec.paths }
    for (const group of groups) {
      for (const endpoint of Object.values(group.endpoints)) {
        const path = endpoint.path.replaceAll(/:(\w+)/g, "{$1}")
        const method = endpoint.method.toLowerCase() as OpenApi.OpenAPISpecMethodName
        const operation = paths[path]?.[method]
        if (operation === undefined) continue
        paths[path] = { ...paths[path], [method]: operationWith(operation, group, endpoint, headers, schemas) }
      }
    }
    return lenient({
      ...spec,
      components: { ...spec.components, securitySchemes },
      // Groups that need different keys may be of one tag.
      tags: [...new Map(spec.tags.toReversed().map((tag) => [tag.name, tag])).values()].toReversed(),
      paths
    }) as Record<string, unknown>
  }
