/** The share of accounting points that were synced in time, never rounded up to all of them. */
import type { Points } from "../asking/shapes.ts"

export const freshShare = ({ fresh, relevant }: Pick<Points, "fresh" | "relevant">): string =>
  relevant.value === 0
    ? "–"
    : `${fresh.is === "exact" && relevant.is === "exact" ? "" : "≈ "}${
        fresh.value >= relevant.value ? "100" : (Math.floor((1000 * fresh.value) / relevant.value) / 10).toFixed(1)
      } %`
