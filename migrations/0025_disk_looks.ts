/**
 * How large things were when somebody looked: growth of what does not say when its rows came.
 */
import { statements } from "./statements.ts"

export default statements(
  `CREATE TABLE disk_looks (
    what text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    bytes bigint NOT NULL,
    PRIMARY KEY (what, at)
  )`
)
