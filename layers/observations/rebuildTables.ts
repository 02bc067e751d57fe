/**
 * The SQL that makes the second set of observation tables, and that puts it in the place of the first.
 *
 * Names without a schema are those of the tables that are read. A new set has the same names in a schema of its own, and
 * the old one goes through a third on its way out.
 */
import { handTriggers } from "../../migrations/0028_month_shapes.ts"
import { migrations } from "../../migrations/allMigrations.ts"
import { version } from "../version.ts"

export const rebuildSchema = "observation_rebuild"
/** Only the version that began a rebuild goes on with it: another one may have other tables, or read documents otherwise. */
export const madeBy = `${version} ${Object.keys(migrations).at(-1)}`
const groupPrefix = "penstock-rebuild-"
const replacedSchema = "observation_replaced"

/** The tables whose rows are many: they change places. By name, the parent first, in the order that queries lock them. */
const swapped = `SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds,
    array_to_string(coalesce(c.reloptions, '{fillfactor=100}'), ', ') AS options
  FROM pg_class c
  WHERE c.oid = 'observations'::regclass OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'observations'::regclass)
  ORDER BY c.relispartition, c.oid`

/** A row gets the id that the row of the same name has among those that are read, where it is put if it is not there. */
const keepIds = (table: string, ...key: ReadonlyArray<string>): ReadonlyArray<string> => [
  `CREATE TABLE ${rebuildSchema}.${table} (LIKE ${table} INCLUDING ALL EXCLUDING IDENTITY)`,
  `DO $do$ BEGIN
    EXECUTE format($format$
      CREATE FUNCTION ${rebuildSchema}.keep_id_of_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO %1$I.${table} (${key.join(", ")}) VALUES (${key.map((one) => `NEW.${one}`).join(", ")})
          ON CONFLICT DO NOTHING;
          SELECT id INTO STRICT NEW.id FROM %1$I.${table} WHERE ${key.map((one) => `${one} = NEW.${one}`).join(" AND ")};
          RETURN NEW;
        END $$$format$, current_schema());
  END $do$`,
  `CREATE TRIGGER keep_id BEFORE INSERT ON ${rebuildSchema}.${table}
    FOR EACH ROW EXECUTE FUNCTION ${rebuildSchema}.keep_id_of_${table}()`
]

/** What each source says of months that several tell of. */
const strandTables = ["observation_strands", "observation_strand_months", "observation_strand_values"]

export const rebuildTables: ReadonlyArray<string> = [
  `DROP SCHEMA IF EXISTS ${rebuildSchema} CASCADE`,
  `CREATE SCHEMA ${rebuildSchema}`,
  `CREATE TABLE ${rebuildSchema}.rebuild AS
    SELECT '${groupPrefix}' || to_char(clock_timestamp(), 'YYYYMMDDHH24MISSUS') AS group_name, '${madeBy}' AS made_by`,
  ...keepIds("observation_sites", "council_id", "name"),
  ...keepIds("observation_sites_measurements", "site_id", "measurement_name", "measurement", "item", "in_units"),
  `CREATE TABLE ${rebuildSchema}.observation_months (LIKE observation_months INCLUDING ALL)
    WITH (fillfactor = 80)`,
  ...strandTables.map((table) => `CREATE TABLE ${rebuildSchema}.${table} (LIKE ${table} INCLUDING ALL)`),
  `ALTER TABLE ${rebuildSchema}.observation_strand_months SET (fillfactor = 80)`,
  `CREATE TABLE ${rebuildSchema}.observation_month_shapes (LIKE observation_month_shapes INCLUDING ALL)`,
  // Empty: what is packed is read from the documents again, and packed again afterwards.
  `CREATE TABLE ${rebuildSchema}.observation_packs (LIKE observation_packs INCLUDING ALL)`,
  `CREATE TABLE ${rebuildSchema}.observation_offsets (LIKE observation_offsets INCLUDING ALL)`,
  // Empty, and found first: what an earlier rebuild has read is read again.
  `CREATE TABLE ${rebuildSchema}.observation_rebuilt (LIKE observation_rebuilt INCLUDING ALL)`,
  `CREATE TABLE ${rebuildSchema}.observations (LIKE observations INCLUDING ALL) PARTITION BY RANGE (observed_at)`,
  ...handTriggers(`${rebuildSchema}.observations`),
  // Migrations know the index by its name.
  `DO $$ BEGIN
    EXECUTE (SELECT format('ALTER INDEX %s RENAME TO observations_current', indexrelid::regclass) FROM pg_index
      WHERE indrelid = '${rebuildSchema}.observations'::regclass);
  END $$`,
  `DO $$ DECLARE t record; BEGIN
    FOR t IN ${swapped} LOOP
      CONTINUE WHEN t.bounds IS NULL;
      EXECUTE format('CREATE TABLE ${rebuildSchema}.%I PARTITION OF ${rebuildSchema}.observations %s WITH (%s)',
        t.name, t.bounds, t.options);
    END LOOP;
  END $$`
]

/** Whether two columns differ, and the assignment of one to the other. */
const copied = (columns: ReadonlyArray<string>, from: string) =>
  columns.map((one) => `${one} = ${from}.${one}`).join(", ")
const rowOf = (columns: ReadonlyArray<string>, of: string) => `(${columns.map((one) => `${of}.${one}`).join(", ")})`

const locations = [
  "easting",
  "northing",
  "projection",
  "latitude",
  "longitude",
  "located_at",
  "located_by",
  "located_rank"
]
const extents = ["first_observed_at", "last_observed_at", "observation_count"]

/** The tables that are read, of which there is one of the same name among the new ones. */
const replaced = `SELECT live.oid FROM pg_class live JOIN pg_class made USING (relname)
  WHERE live.relnamespace = current_schema()::regnamespace AND made.relnamespace = '${rebuildSchema}'::regnamespace
    AND made.relkind IN ('r', 'p')`

/** Whoever may read the tables, a reader or a backup, may read those that take their place. */
const keepGrants = `DO $$ DECLARE g record; BEGIN
    FOR g IN
      SELECT c.relname AS name, a.grantee, a.is_grantable,
        a.privilege_type || coalesce(' (' || a.columns || ')', '') AS privilege
      FROM pg_class c CROSS JOIN LATERAL (
        SELECT grantee, is_grantable, privilege_type, NULL AS columns FROM aclexplode(c.relacl)
        UNION ALL
        SELECT e.grantee, e.is_grantable, e.privilege_type, string_agg(quote_ident(t.attname), ', ')
        FROM pg_attribute t, aclexplode(t.attacl) AS e WHERE t.attrelid = c.oid AND NOT t.attisdropped GROUP BY 1, 2, 3
      ) AS a
      WHERE c.oid IN (${replaced}) AND a.grantee <> c.relowner LOOP
      EXECUTE format('GRANT %s ON ${rebuildSchema}.%I TO %s%s', g.privilege, g.name,
        CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
        CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
  END $$`

/** What makes a view over the tables anew: a view knows its tables, not their names, and would go with the old ones. */
const viewsOver = `SELECT format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
    ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid))
  FROM pg_class v
  WHERE v.relkind = 'v' AND v.oid IN (
    SELECT r.ev_class FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (${replaced}))
  ORDER BY v.oid`

/** Runs in one transaction, during which no store can write. Series that no document has any more are left without a value. */
export const swapTables: ReadonlyArray<string> = [
  `UPDATE observation_sites s SET ${copied(locations, "r")}, updated_at = now() FROM ${rebuildSchema}.observation_sites r
    WHERE r.id = s.id AND ${rowOf(locations, "s")} IS DISTINCT FROM ${rowOf(locations, "r")}`,
  `UPDATE observation_sites_measurements m SET units = coalesce(r.units, m.units), listed_units = r.listed_units,
      ${copied(extents, "r")}, updated_at = now()
    FROM (
      SELECT m.id, r.units, r.listed_units, r.first_observed_at, r.last_observed_at, coalesce(r.observation_count, 0) AS observation_count
      FROM observation_sites_measurements m LEFT JOIN ${rebuildSchema}.observation_sites_measurements r USING (id)
    ) AS r
    WHERE r.id = m.id AND (${rowOf(extents, "m")} IS DISTINCT FROM ${rowOf(extents, "r")} OR r.units <> m.units
      OR r.listed_units IS DISTINCT FROM m.listed_units OR (m.units IS NULL AND r.units IS NOT NULL))`,
  `DELETE FROM observation_rebuilt`,
  // Of a topic that was made anew meanwhile, both logs were read so far.
  `INSERT INTO observation_rebuilt (partition, next_offset, ended_at)
    SELECT partition, min(next_offset), clock_timestamp() FROM ${rebuildSchema}.observation_offsets GROUP BY partition`,
  `CREATE SCHEMA ${replacedSchema}`,
  keepGrants,
  // From here on readers wait: some 50 ms.
  `LOCK TABLE observations IN ACCESS EXCLUSIVE MODE`,
  `DO $$
    DECLARE
      live name := current_schema();
      views text[] := ARRAY(${viewsOver});
      one text;
      t record;
    BEGIN
      FOR t IN (${swapped}) UNION ALL SELECT name, NULL, NULL
        FROM unnest('{observation_packs, observation_months, observation_month_shapes, ${strandTables.join(", ")}}'::name[]) AS name LOOP
        EXECUTE format('ALTER TABLE %I.%I SET SCHEMA ${replacedSchema}', live, t.name);
        EXECUTE format('ALTER TABLE ${rebuildSchema}.%I SET SCHEMA %I', t.name, live);
      END LOOP;
      EXECUTE format('ALTER TABLE %1$I.observation_months ADD CONSTRAINT observation_months_series_id_fkey
        FOREIGN KEY (series_id)
        REFERENCES %1$I.observation_sites_measurements NOT VALID', live);
      FOREACH one IN ARRAY views LOOP
        BEGIN
          EXECUTE one;
        EXCEPTION WHEN insufficient_privilege THEN
          RAISE WARNING 'a view of somebody else over the observations goes with the old tables: %', left(one, 200);
        END;
      END LOOP;
    END $$`,
  `DROP SCHEMA ${rebuildSchema} CASCADE`
]

/** Afterwards, when no store waits any more: reads the new months, and removes the old files. Does no harm at other times. */
export const afterSwap: ReadonlyArray<string> = [
  `ALTER TABLE observation_months VALIDATE CONSTRAINT observation_months_series_id_fkey`,
  `DROP SCHEMA IF EXISTS ${replacedSchema} CASCADE`
]

/** Groups of rebuilds that are over would hold back what the raw topic lets go of. `current` is the one that is not, if any. */
export const forgetGroups = (current: string | undefined): string => `
  DELETE FROM topic_groups WHERE starts_with(group_name, '${groupPrefix}')
    AND group_name <> '${current ?? ""}'`
