/** What each instance does, by how many there are. The first one answers. */
const rolesBy: Readonly<Record<number, ReadonlyArray<ReadonlyArray<string>>>> = {
  1: [["api", "sync", "crawl", "stream"]],
  2: [
    ["api", "sync", "crawl", "stream"],
    ["api", "sync", "crawl", "stream"]
  ],
  3: [
    ["api", "sync", "crawl"],
    ["api", "sync", "stream"],
    ["crawl", "stream"]
  ],
  4: [
    ["api", "sync"],
    ["api", "crawl"],
    ["sync", "stream"],
    ["crawl", "stream"]
  ]
}
export const mostInstances = 4

export const rolesOf = (instances: number): ReadonlyArray<ReadonlyArray<string>> => rolesBy[instances] ?? []

/** The numbers, from 1, of those that have work in common with another one: leases and claims that another can take over. */
export const replaceable = (instances: number): ReadonlyArray<number> => {
  const all = rolesOf(instances)
  const isShared = (role: string) => all.filter((roles) => roles.includes(role)).length > 1
  return all.flatMap((roles, i) => (["crawl", "sync"].some((role) => roles.includes(role) && isShared(role)) ? [i + 1] : []))
}
