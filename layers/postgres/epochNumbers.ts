/**
 * Times in SQL as the numbers that TypeScript has. Infinite times give infinite numbers; `writableValues` makes finite ones.
 */

/** Milliseconds since 1970, or of an interval. */
export const millisOf = (moment: string): string => `(extract(epoch FROM ${moment}) * 1000)::float8`

/** Microseconds since 1970, as exact as the database has them. */
export const microsOf = (moment: string): string => `(extract(epoch FROM ${moment}) * 1000000)::float8`

/** Seconds from `moment` to `until`. Numbers are subtracted, since PostgreSQL before 17 fails to subtract an infinite time. */
export const secondsSince = (moment: string, until = "now()"): string =>
  `(extract(epoch FROM ${until}) - extract(epoch FROM ${moment}))::float8`
