/** `penstock/lookup`: what a lookup is, over the copies. */
export * from "../src/lookup/AccountingPointCopies.ts"
export * from "../src/lookup/ControllableUnits.ts"
export * from "../src/lookup/Lookup.ts"
export * from "../src/lookup/LookupStore.ts"
export * from "../src/lookup/SharedRefresh.ts"
export * from "../src/lookup/registerUnit.ts"
