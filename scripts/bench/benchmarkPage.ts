/**
 * `docs/benchmarks.md` from `bench/results`: what stands between its two marks is made by `npm run bench -- --page`, and what
 * stands around them is written by hand.
 *
 * Ratios come first: they say the same on another machine, as figures do not.
 */
import { type BenchResult } from "./BenchResult.ts"
import { summarise } from "./Figure.ts"
import { number, range, targetText } from "./figureText.ts"

export const pageFile = "docs/benchmarks.md"
export const [begin, end] = ["<!-- figures: `npm run bench -- --page` writes from here -->", "<!-- to here -->"]

/** In the order of the page: what each group measures. */
const groups: Readonly<Record<string, readonly [title: string, what: string]>> = {
  cost: [
    "What a crawled document costs",
    "A month of some 4,000 rows (200 kB of XML, 30 kB on the wire), from the socket to both topics, with budgets lifted. Processor" +
      " time of the whole process, user and system. The parts are measured alone, each in a run of its own; what they do not" +
      " add up to is claims, settlements, polling and waiting."
  ],
  cores: [
    "Several processes",
    "Documents of some 4,000 rows that an instance brings from the socket to both topics, and on to stored rows, topics in PostgreSQL." +
      " PostgreSQL and the server of the documents run on the same processors."
  ],
  crawl: [
    "Crawl, up to the raw topic",
    "Tasks of a council, beside the same addresses asked for by a client that throws the answers away."
  ],
  parse: ["Parsing", "Hilltop's XML to rows, beside saxes alone on the same text."],
  answers: ["Answers of the API", "Months of observations over HTTP."],
  observations: [
    "Storing observations",
    "Beside a bare `INSERT … unnest` into a table with the same columns and index."
  ],
  disk: [
    "Disk",
    "A million five-minute values of a hundred living series, which came an hour at a time; table, index and what lies beside" +
      " them. How long reading a month of one series takes with each shape."
  ],
  archive: ["Reading observations", "Months of a series, as they are now and as of a past moment."],
  streams: [
    "Topics on Kafka",
    "The service's sink and reader beside `@platformatic/kafka`, on a broker on the same machine."
  ],
  sync: ["Background sync", "From a slow adapter, beside one accounting point after another as the original does it."],
  claim: ["Claim of accounting points", "One statement, at growing numbers of rows."],
  tasks: [
    "Claim of Hilltop tasks",
    "One statement, at growing numbers of tasks; `BENCH_TASKS=5000000` for five million."
  ],
  queue: [
    "Tasks that do nothing",
    "Claimed and settled, beside graphile-worker (local queue, completions in batches) and pg-boss (batches), each in its fastest published" +
      " settings. They delete or mark what is done; Penstock writes when it is due again, what was learnt and its history, under leases with" +
      " fences and the budgets of sixteen servers. And how soon a task that is added begins, each told by NOTIFY."
  ],
  events: ["Events", "Thin events in batches of 1,000, beside an upsert of as many moments by id."],
  eventDelay: ["From an event to the copy", "Until the copy follows."],
  lookups: ["Lookups", "From the copy, beside the same stack with one keyed select."],
  start: [
    "Start and rest",
    "From the start of the process until ready, with the embedded PostgreSQL; and the service at rest, all roles, on a PostgreSQL beside it."
  ],
  memory: ["Memory", "While syncing as fast as it can."],
  nation: [
    "A nation",
    "A day's work on full tables, as a share of the machine: each part is done by the service for some minutes at the rate of the day, and what" +
      " one sync or one look takes is multiplied by how many the day has. Of the series a fifth is watched. Events, lists and the servers that are" +
      " asked are not in it; a service that has nothing to do is in it three times."
  ],
  page: ["The page", "What the dashboard asks for, over tables of a nation's size."],
  freshness: ["Freshness, simulated", "See [freshness.md](freshness.md)."],
  freshnessCrawl: ["Freshness, crawled", "See [freshness.md](freshness.md)."]
}

const titleOf = (group: string) => groups[group]?.[0] ?? group

const machineText = ({ machine: { cpu, cpus, memory_gigabytes, node, system } }: BenchResult): string =>
  `${cpus} × ${cpu.trim()}, ${memory_gigabytes} GB, ${system}; Node ${node}`

const whenText = ({ at, machine: { load_average, load_before, postgres } }: BenchResult): string =>
  [
    `Measured ${at.slice(0, 16).replace("T", " ")} UTC`,
    ...(postgres === null ? [] : [`PostgreSQL ${postgres}`]),
    ...(load_before === undefined ? [] : [`load ${number(load_before)} before it began`]),
    `${number(load_average)} at its end`
  ].join(", ") + "."

const cell = (text: string) => text.replaceAll("|", "\\|")

const table = ({ figures }: BenchResult): ReadonlyArray<string> => [
  "| ratio (min–max) | what | beside | figure | beside it | unit | to reach |",
  "| --- | --- | --- | --- | --- | --- | --- |",
  ...figures.map((one) => {
    const { figure, ratio, yardstick } = summarise(one)
    const targets = one.targets.map((target) => targetText(one, target)).join("; ")
    const cells = [range(ratio), one.name, one.yardstick, number(figure.median), number(yardstick.median), one.unit]
    return `| ${[...cells, targets].map(cell).join(" | ")} |`
  })
]

/** What stands between the marks. */
export const figuresPart = (results: ReadonlyArray<BenchResult>): string => {
  const order = Object.keys(groups)
  const place = ({ group }: BenchResult) => (order.includes(group) ? order.indexOf(group) : order.length)
  const sorted = results.toSorted((a, b) => place(a) - place(b) || (a.group < b.group ? -1 : 1))
  const machines = new Set(sorted.map(machineText))
  const [only] = machines
  return [
    ...(machines.size === 1 ? [`Machine: ${only}.`, ""] : []),
    ...sorted.flatMap((result) => [
      `## ${titleOf(result.group)}`,
      "",
      `\`npm run bench -- ${result.group}\`: ${groups[result.group]?.[1] ?? ""}`.trim(),
      ...(machines.size === 1 ? [] : [`Machine: ${machineText(result)}.`]),
      whenText(result),
      "",
      ...table(result),
      ""
    ])
  ].join("\n")
}

/** The page with the figures of these results; what is written by hand stays. */
export const pageWith = (page: string, results: ReadonlyArray<BenchResult>): string => {
  const [from, until] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || until < from) throw new Error(`${pageFile} lacks its marks`)
  return `${page.slice(0, from)}${begin}\n\n${figuresPart(results)}\n${page.slice(until)}`
}
