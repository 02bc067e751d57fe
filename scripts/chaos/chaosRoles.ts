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

/** Of the roles in which another instance can take over what this one (from 1) was doing, those that it has and another one too. */
export const sharedRoles = (number: number, instances: number): ReadonlyArray<string> => {
  const all = rolesOf(instances)
  return ["crawl", "sync"].filter(
    (role) => all[number - 1]?.includes(role) && all.some((roles, i) => i !== number - 1 && roles.includes(role))
  )
}
