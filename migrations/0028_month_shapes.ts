/**
 * What the values of a month look like from afar: the least and the greatest of each quarter of a day, so that a picture of a million
 * values need not read them.
 *
 * Shapes are made where a picture needs them, or when the first document of a month is stored, and hold for one version of the month:
 * the store counts on whenever it writes values of it, and so does a statement by hand. A month without a shape, or with one of another
 * version, is read value by value.
 */
import { statements } from "./statements.ts"

/** Of the months of the values in a transition table. */
const countOn = (
  rows: string
) => `CREATE FUNCTION count_month_versions_of_${rows}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE observation_months m SET version = m.version + 1
      FROM (SELECT DISTINCT series_id, to_char(observed_at AT TIME ZONE interval '12:00', 'YYYY-MM') AS year_month FROM ${rows}) changed
      WHERE m.series_id = changed.series_id AND m.year_month = changed.year_month;
      RETURN NULL;
    END $$`

/** On the table of all years, which the store never names: it writes to the tables of single years. */
export const handTriggers = (table: string): ReadonlyArray<string> => [
  `CREATE TRIGGER observations_inserted_by_hand AFTER INSERT ON ${table} REFERENCING NEW TABLE AS new_values
    FOR EACH STATEMENT EXECUTE FUNCTION count_month_versions_of_new_values()`,
  `CREATE TRIGGER observations_updated_by_hand AFTER UPDATE ON ${table} REFERENCING NEW TABLE AS new_values
    FOR EACH STATEMENT EXECUTE FUNCTION count_month_versions_of_new_values()`,
  `CREATE TRIGGER observations_deleted_by_hand AFTER DELETE ON ${table} REFERENCING OLD TABLE AS old_values
    FOR EACH STATEMENT EXECUTE FUNCTION count_month_versions_of_old_values()`
]

export default statements(
  `ALTER TABLE observation_months ADD COLUMN version integer NOT NULL DEFAULT 0`,
  `ALTER TABLE observation_strand_months ADD COLUMN version integer NOT NULL DEFAULT 0`,
  `CREATE TABLE observation_month_shapes (
    series_id integer NOT NULL,
    year_month text NOT NULL,
    /* that of the month's row in observation_months whose values these are */
    version integer NOT NULL,
    /* the first and last moment at which what is known of the month changed; none where it has no value */
    known_from timestamptz,
    known_to timestamptz,
    /* by quarter: its number since 1970, and of its current values how many there are, the least, the greatest, how many are
       censored, and the lowest quality; and how many versions were superseded */
    quarters integer[] NOT NULL,
    numbers integer[] NOT NULL,
    least double precision[] NOT NULL,
    greatest double precision[] NOT NULL,
    censored integer[] NOT NULL,
    qualities integer[] NOT NULL,
    superseded integer[] NOT NULL,
    PRIMARY KEY (series_id, year_month)
  )`,
  countOn("new_values"),
  countOn("old_values"),
  ...handTriggers("observations")
)
