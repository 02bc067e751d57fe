/**
 * Blots out personal numbers in text that came from elsewhere, or may hold what did: a run of exactly 11 digits is a person.
 *
 * The last filter, not the first: what is logged of a failure is chosen so that nothing has to be blotted out.
 */

const personalNumber = /(?<![0-9])[0-9]{11}(?![0-9])/g
const blot = "[personal number]"

/** The text with every run of exactly 11 digits blotted out. */
export const blotPersonalNumbers = (text: string): string => text.replaceAll(personalNumber, blot)
