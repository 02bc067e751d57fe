/**
 * What a schema refuses, in words that name the field and the rule, and never the value.
 *
 * Schemas do not keep the input in their issues, so their messages cannot repeat it; a path names keys of our own schemas
 * only, since unknown keys are ignored.
 */
import { type Schema, SchemaAST, SchemaIssue } from "effect"

/** Beyond this many faults the answer only counts: a batch may hold thousands. */
const shown = 5

const kinds: Readonly<Record<string, string>> = {
  String: "string",
  Number: "number",
  Boolean: "boolean",
  Objects: "object",
  Arrays: "array",
  Null: "null"
}

/** What of JSON it is; none where that says nothing. The names that schemas have are for readers of the OpenAPI document. */
const kindsOf = (ast: SchemaAST.AST): ReadonlyArray<string> | undefined => {
  if (SchemaAST.isLiteral(ast)) return [JSON.stringify(ast.literal)]
  if (!SchemaAST.isUnion(ast)) return kinds[ast._tag] === undefined ? undefined : [kinds[ast._tag]!]
  const members = ast.types.map((type) => kindsOf(SchemaAST.toEncoded(type)))
  return members.every((member) => member !== undefined) ? [...new Set(members.flat())] : undefined
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    const hasMessage = issue._tag !== "InvalidType" || issue.ast.annotations?.["message"] !== undefined
    const expected = hasMessage ? undefined : kindsOf(issue.ast)
    return expected === undefined ? SchemaIssue.defaultLeafHook(issue) : `Expected ${expected.join(" | ")}`
  }
})

/** The same, where no alternative is of the right kind told as one of the wrong kind. */
const plain = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  switch (issue._tag) {
    case "AnyOf":
      return issue.issues.length === 0
        ? new SchemaIssue.InvalidType(issue.ast)
        : Object.create(issue, { issues: { value: issue.issues.map(plain) } })
    case "Composite":
      return Object.create(issue, { issues: { value: issue.issues.map(plain) } })
    case "Pointer":
    case "Filter":
    case "Encoding":
      return Object.create(issue, { issue: { value: plain(issue.issue) } })
    default:
      return issue
  }
}

const withArticle: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "a boolean",
  object: "an object",
  array: "an array"
}

/** `Expected object | array` reads `must be an object or an array`. */
const rule = (message: string): string => {
  if (message === "Missing key") return "is missing"
  if (!message.startsWith("Expected ")) return message
  const alternatives = message.slice("Expected ".length).split(" | ")
  return `must be ${alternatives.map((one) => withArticle[one] ?? one).join(" or ")}`
}

/** `[3].gsrn: must be …`; the root has no path and is called `whole`. */
const fault = (whole: string, issue: { readonly message: string; readonly path?: unknown }): string => {
  const keys: ReadonlyArray<unknown> = Array.isArray(issue.path) ? issue.path : []
  const path = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("")
  return `${path === "" ? whole : path.replace(/^\./, "")}: ${rule(issue.message)}`
}

export const describeFaults = (whole: string, error: Schema.SchemaError): string => {
  const faults = [...new Set(formatIssue(plain(error.issue)).issues.map((issue) => fault(whole, issue)))]
  const more = faults.length - shown
  return faults.slice(0, shown).join("; ") + (more > 0 ? `; and ${more} more` : "")
}
