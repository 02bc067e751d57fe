/** Before each file that runs under a time zone of its own (dateRules.vitest.ts): that it does. */
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions()
if (timeZone !== process.env["TZ"]) throw new Error(`this process is in ${timeZone} instead of ${process.env["TZ"]}`)
