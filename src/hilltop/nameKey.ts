/**
 * A name as it is compared with one that an operator typed: a macron may be one character or two, and both look alike. What is
 * asked, stored and published is the name as the server writes it.
 */
export const nameKey = (name: string): string => name.normalize("NFC")
