/** `penstock/running`: the machinery of a service: loops that are watched, batches, and faults in words. */
export * from "../src/running/Loop.ts"
export * from "../src/running/batched.ts"
export * from "../src/running/describe.ts"
export * from "../src/running/describeFaults.ts"
