/**
 * A table that scrolls sideways where it does not fit; on a phone each row is a list of its own, unless it is compact. The roles keep
 * it a table for those who hear it, however it is laid out.
 */
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
  /** Of few short columns and many rows. */
  readonly isCompact?: boolean
}

const classOf = <Row>({ isNumber }: Column<Row>): string | undefined => (isNumber ? "number" : undefined)

export const DataTable = <Row>({ columns, empty, isChosen, isCompact, keyOf, name, rows }: DataTableProps<Row>) =>
  rows.length === 0
    ? html`<p class="empty">${empty}</p>`
    : html`<div class=${isCompact ? "table compact" : "table"} role="group" aria-label=${name} tabindex="0">
        <table role="table" aria-label=${name}>
          <thead role="rowgroup">
            <tr role="row">
              ${columns.map(
                (column) =>
                  html`<th key=${column.head} role="columnheader" scope="col" class=${classOf(column)}>
                    ${column.head}
                  </th>`
              )}
            </tr>
          </thead>
          <tbody role="rowgroup">
            ${rows.map(
              (row) =>
                html`<tr key=${keyOf(row)} role="row" aria-selected=${isChosen?.(row) ? "true" : undefined}>
                  ${columns.map(
                    (column) =>
                      html`<td key=${column.head} role="cell" data-head=${column.head} class=${classOf(column)}>
                        <div>${column.cell(row)}</div>
                      </td>`
                  )}
                </tr>`
            )}
          </tbody>
        </table>
      </div>`
