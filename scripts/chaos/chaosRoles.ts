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

/** The last one, which crawls and streams whatever their number, has two processes: the others must be as they are without. */
export const processesOf = (number: number, instances: number): number => (number === instances ? 2 : 1)

/** Of those that stream one packs the years that are over, and the others unpack what is corrected; alone it does both. */
export const isPacking = (number: number, instances: number): boolean => number === Math.max(1, instances - 1)

/** Of the roles in which another instance can take over what this one (from 1) was doing, those that it has and another one too. */
export const sharedRoles = (number: number, instances: number): ReadonlyArray<string> => {
  const all = rolesOf(instances)
  return ["crawl", "sync"].filter(
    (role) => all[number - 1]?.includes(role) && all.some((roles, i) => i !== number - 1 && roles.includes(role))
  )
}
