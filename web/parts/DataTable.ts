/** A table that scrolls sideways where it does not fit, with a name for those who hear it. */
import { type Content, html } from "./html.ts"

export interface Column<Row> {
  readonly head: string
  readonly cell: (row: Row) => Content
  /** Set in digits of one width, at the right. */
  readonly isNumber?: boolean
}

export interface DataTableProps<Row> {
  readonly name: string
  readonly columns: ReadonlyArray<Column<Row>>
  readonly rows: ReadonlyArray<Row>
  readonly keyOf: (row: Row) => string | number
  readonly empty: string
  readonly isChosen?: (row: Row) => boolean
}

export const DataTable = <Row>({ columns, empty, isChosen, keyOf, name, rows }: DataTableProps<Row>) =>
  rows.length === 0
    ? html`<p class="empty">${empty}</p>`
    : html`<div class="table" role="region" aria-label=${name} tabindex="0">
        <table>
          <caption class="unseen">
            ${name}
          </caption>
          <thead>
            <tr>
              ${columns.map(
                ({ head, isNumber }) => html`<th key=${head} scope="col" class=${isNumber ? "number" : ""}>${head}</th>`
              )}
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              (row) =>
                html`<tr key=${keyOf(row)} aria-selected=${isChosen?.(row) ? "true" : undefined}>
                  ${columns.map(
                    ({ cell, head, isNumber }) =>
                      html`<td key=${head} class=${isNumber ? "number" : ""}>${cell(row)}</td>`
                  )}
                </tr>`
            )}
          </tbody>
        </table>
      </div>`
