/**
 * What identifies a series is what was asked for: a measurement of a data source, its column, its units. What a server leaves in
 * doubt about its sites. And for months that several sources of a council tell of: what each of them says.
 *
 * What is stored belongs to the series that its tasks ask for; where none are there any more it stays by itself, without a
 * measurement, and so does what an operator inserts.
 */
import { statements } from "./statements.ts"

export default statements(
  `ALTER TABLE hilltop_sources ADD COLUMN doubt text`,
  `CREATE TABLE hilltop_site_notes (
    source_id integer NOT NULL REFERENCES hilltop_sources ON DELETE CASCADE,
    site_name text NOT NULL,
    /* see src/crawl/SiteNote.ts */
    note jsonb NOT NULL,
    PRIMARY KEY (source_id, site_name)
  )`,

  `ALTER TABLE observation_sites
    /* by which source, and how good the grid is: see src/domain/Grid.ts */
    ADD COLUMN located_by text NOT NULL DEFAULT '',
    ADD COLUMN located_rank smallint NOT NULL DEFAULT 0`,

  `ALTER TABLE observation_sites_measurements
    /* as it is asked for, without the data source in brackets; empty and 0 where nobody said */
    ADD COLUMN measurement text NOT NULL DEFAULT '',
    ADD COLUMN item integer NOT NULL DEFAULT 0,
    /* the units by which it is told from others: values in other units are another series, so that none is ever relabelled */
    ADD COLUMN in_units text NOT NULL DEFAULT '',
    /* where the list has others */
    ADD COLUMN listed_units text,
    DROP CONSTRAINT observation_sites_measurements_site_id_measurement_name_key,
    ADD UNIQUE (site_id, measurement_name, measurement, item, in_units)`,
  `CREATE FUNCTION asked_measurement(url text, data_source text) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
      escaped text := substring(url from '[?&]Measurement=([^&#]*)');
      asked text;
      suffix text := ' [' || data_source || ']';
    BEGIN
      SELECT convert_from(string_agg(CASE WHEN part[1] ~ '^%..$' THEN decode(substr(part[1], 2), 'hex')
          ELSE convert_to(part[1], 'UTF8') END, '' ORDER BY n), 'UTF8') INTO asked
        FROM regexp_matches(escaped, '%[0-9A-Fa-f]{2}|.', 'g') WITH ORDINALITY AS parts (part, n);
      RETURN CASE WHEN length(asked) > length(suffix) AND right(asked, length(suffix)) = suffix
        THEN left(asked, -length(suffix)) ELSE asked END;
    EXCEPTION WHEN data_exception THEN
      RETURN NULL;
    END $$`,
  `WITH asked AS MATERIALIZED (
      SELECT DISTINCT ON (s.council_id, t.details ->> 'siteName', t.details ->> 'measurementName')
        s.council_id, t.details ->> 'siteName' AS site_name, t.details ->> 'measurementName' AS measurement_name,
        t.details ->> 'item' AS item, t.fetch_url
      FROM hilltop_fetch_tasks t JOIN hilltop_sources s ON s.id = t.source_id
      WHERE t.request_type IN ('MEASUREMENT_DATA', 'MEASUREMENT_DATA_LATEST') AND t.details ? 'siteName'
        AND t.details ? 'measurementName'
      ORDER BY s.council_id, t.details ->> 'siteName', t.details ->> 'measurementName',
        t.set_aside_reason IS NOT DISTINCT FROM 'unwanted', t.id
    ), known AS (
      SELECT site.id AS site_id, measurement_name, item, asked_measurement(fetch_url, measurement_name) AS measurement
      FROM asked JOIN observation_sites site ON site.council_id = asked.council_id AND site.name = asked.site_name
    )
    UPDATE observation_sites_measurements m
    SET measurement = known.measurement, in_units = coalesce(m.units, ''),
      item = CASE WHEN known.item ~ '^[1-9][0-9]{0,3}$' THEN known.item::integer ELSE 1 END
    FROM known
    WHERE m.site_id = known.site_id AND m.measurement_name = known.measurement_name AND known.measurement IS NOT NULL`,
  `DROP FUNCTION asked_measurement`,

  `ALTER TABLE observation_months
    /* who told of it first; empty where nobody said. Once another source does, what each of them says is kept by strand, and the
       values of the series are made of that */
    ADD COLUMN source text NOT NULL DEFAULT '',
    ADD COLUMN is_shared boolean NOT NULL DEFAULT false`,
  `CREATE TABLE observation_strands (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series_id integer NOT NULL,
    source text NOT NULL,
    UNIQUE (series_id, source)
  )`,
  // As observation_months and observations are, of a strand in place of a series.
  `CREATE TABLE observation_strand_months (LIKE observation_months INCLUDING ALL) WITH (fillfactor = 80)`,
  `CREATE TABLE observation_strand_values (LIKE observations INCLUDING ALL)`
)
