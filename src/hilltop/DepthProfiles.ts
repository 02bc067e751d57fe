/**
 * Depth profiles in a GetData answer: `Section` with the moment of the survey, and rows of a depth (`O`) and a value.
 *
 * A profile is no time series: all its rows are of one moment, so no observation of the topic can say them. They are read all
 * the same, because an answer that holds some is a good answer. Where a `Section` stands differs; what is in it does not.
 */
import { censoredDecimal, decimalText } from "./DecimalText.ts"
import type { DepthProfile, DepthRow } from "./HilltopDocument.ts"
import { parseNzst } from "./Nzst.ts"

export class DepthProfiles {
  readonly profiles: Array<DepthProfile> = []
  readonly #column: string
  #siteName = ""
  #surveyedAt: number | undefined
  #rows: Array<DepthRow> = []
  #skipped = 0
  #depth = ""
  #value = ""
  /** How deep the open section lies, 0 while none is open. */
  #level = 0

  constructor(item: number) {
    this.#column = `I${item}`
  }

  get isOpen(): boolean {
    return this.#level > 0
  }

  begin(siteName: string | undefined, level: number): void {
    this.#siteName = siteName ?? ""
    this.#surveyedAt = undefined
    this.#rows = []
    this.#skipped = 0
    this.#level = level
  }

  open(element: string): void {
    if (element === "E") this.#depth = this.#value = ""
  }

  leaf(element: string, text: string): void {
    if (element === "SurveyTime") this.#surveyedAt = parseNzst(text)
    else if (element === "O") this.#depth = text
    else if (element === this.#column || element === "Value") this.#value = text
  }

  close(element: string, level: number): void {
    if (level === this.#level) this.#end()
    else if (element === "E") this.#add()
  }

  #add(): void {
    const depth = decimalText(this.#depth)
    const read = censoredDecimal(this.#value)
    if (depth === undefined || read === undefined) this.#skipped++
    else this.#rows.push({ depth, ...read })
  }

  #end(): void {
    this.#level = 0
    this.profiles.push({
      siteName: this.#siteName,
      ...(this.#surveyedAt === undefined ? {} : { surveyedAt: this.#surveyedAt }),
      rows: this.#rows,
      skipped: this.#skipped
    })
  }
}
