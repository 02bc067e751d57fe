/**
 * What a session relies on, set by its first statement: whatever the defaults of the server, the database and the role are, and
 * also where a pooler in front of the server refuses them at the start of a connection.
 */

/** How long anything may take, in milliseconds. The server gives up first, so that one that is merely slow says so itself. */
export const patience = {
  /** For a connection to open and be set up. */
  connect: 3000,
  /** For a connection of the pool to become free. */
  free: 3000,
  /** For the answer to a statement, of the client, and of the server. */
  answer: 6000,
  statement: 5000,
  /** For a lock that another session holds. */
  lock: 1000
}

const settings: Readonly<Record<string, string>> = {
  client_encoding: "UTF8",
  datestyle: "ISO, YMD",
  intervalstyle: "postgres",
  timezone: "UTC",
  extra_float_digits: "1",
  bytea_output: "hex",
  standard_conforming_strings: "on",
  default_transaction_isolation: "read committed",
  statement_timeout: `${patience.statement}ms`,
  lock_timeout: `${patience.lock}ms`,
  // What a client that is gone has locked is free again so soon, at the latest; no transaction here waits for anybody.
  idle_in_transaction_session_timeout: "15s",
  idle_session_timeout: "0",
  tcp_keepalives_idle: "5",
  tcp_keepalives_interval: "1",
  tcp_keepalives_count: "5",
  tcp_user_timeout: "10s",
  // A prepared statement keeps the plan that was made while its tables were empty, and scans them for ever when they
  // are full. Each statement has an index; where one has none, it is scanned all the same.
  enable_seqscan: "off",
  jit: "off"
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`
const set = (name: string, value: string) => `set_config(${literal(name)}, ${value}, false)`

/** The tables are looked for where their migrations were recorded, once they were. */
const searchPath = set(
  "search_path",
  `coalesce((SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = 'penstock_migrations' AND c.relkind = 'r' LIMIT 1), current_setting('search_path'))`
)

/** One row: whether the session may write, and the process that serves it, which a pooler does not tell at the start. */
export const firstStatement = (others: Readonly<Record<string, string>> = {}): string => `
  SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS "readOnly", pg_backend_pid() AS pid,
    ${searchPath},
    CASE WHEN current_setting('server_version_num')::int4 >= 170000 THEN ${set("transaction_timeout", "'0'")} END,
    ${Object.entries({ ...settings, ...others })
      .map(([name, value]) => set(name, literal(value)))
      .join(", ")}`
