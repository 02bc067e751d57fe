/**
 * The numbers that documents show. In the demo they are there and belong together, so that what is copied from a document is
 * answered; the person is nobody's: a day of birth raised by 40, and control digits that are wrong.
 */

export const exampleGsrn = "707057500000000001"
export const anotherExampleGsrn = "707057500000000018"

/** The end user of the accounting point, and what a lookup knows of them. */
export const examplePerson = "41019000100"
export const exampleClaim = "410190"

/** The controllable unit of the accounting point. */
export const exampleUnit = "a0000000-0000-4000-8000-000000000001"
