/**
 * What the page at `/` asks for: tasks by the names of their sites and measurements, those that fail or rest, how the adapter does
 * on each instance, and which dead letters were sent again.
 *
 * Names are kept beside the tasks, each once, since there are a hundred tasks of one series and people look for parts of names.
 */
import { statements } from "./statements.ts"

/** Names come from servers and operators; longer ones would not fit into an index. */
const name = (details: string, key: string) => `left(coalesce(${details} ->> '${key}', ''), 300)`
const named = (row: string) =>
  `${row}source_id, ${name(`${row}details`, "siteName")}, ${name(`${row}details`, "measurementName")}`

export default statements(
  `CREATE TABLE hilltop_task_names (
    source_id integer NOT NULL REFERENCES hilltop_sources ON DELETE CASCADE,
    /* empty where the tasks have none */
    site_name text NOT NULL,
    measurement_name text NOT NULL,
    PRIMARY KEY (source_id, site_name, measurement_name)
  )`,
  `INSERT INTO hilltop_task_names SELECT DISTINCT ${named("")} FROM hilltop_fetch_tasks`,
  `CREATE FUNCTION note_hilltop_names() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_task_names (source_id, site_name, measurement_name)
        SELECT DISTINCT ${named("")} FROM new_tasks ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_named AFTER INSERT ON hilltop_fetch_tasks
    REFERENCING NEW TABLE AS new_tasks FOR EACH STATEMENT EXECUTE FUNCTION note_hilltop_names()`,
  `CREATE FUNCTION note_hilltop_name() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO hilltop_task_names (source_id, site_name, measurement_name) VALUES (${named("NEW.")}) ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$`,
  `CREATE TRIGGER hilltop_fetch_tasks_renamed AFTER UPDATE OF source_id, details ON hilltop_fetch_tasks FOR EACH ROW
    WHEN ((${named("NEW.")}) IS DISTINCT FROM (${named("OLD.")}))
    EXECUTE FUNCTION note_hilltop_name()`,
  // Equal names are kept once a page: 6.5 million tasks of 5,000 series take 48 MB of it.
  `CREATE INDEX hilltop_fetch_tasks_names ON hilltop_fetch_tasks
    (source_id, (${name("details", "siteName")}), (${name("details", "measurementName")}))`,
  `CREATE INDEX hilltop_fetch_tasks_failing ON hilltop_fetch_tasks (id) INCLUDE (origin)
    WHERE attempts > 0 AND set_aside_at IS NULL AND unavailable_since IS NULL`,
  `CREATE INDEX hilltop_fetch_tasks_aside ON hilltop_fetch_tasks (id) INCLUDE (origin, set_aside_reason)
    WHERE set_aside_at IS NOT NULL`,
  `CREATE INDEX hilltop_fetch_tasks_lost ON hilltop_fetch_tasks (source_id, id)
    WHERE set_aside_at IS NOT NULL AND set_aside_reason = 'lost'`,

  /* how the calls of the adapter go, as the instance told with its last sign of life; see src/sync/AdapterTally.ts */
  `ALTER TABLE penstock_instances ADD COLUMN adapter jsonb`,

  `CREATE TABLE dead_letters_redriven (
    topic text NOT NULL,
    "offset" bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    /* the name of the key that it was asked with */
    by text NOT NULL,
    PRIMARY KEY (topic, "offset")
  )`
)
