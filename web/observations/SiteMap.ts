/**
 * Sites on the outline of the country, as near as they allow. For the eye and the pointer; the list beside it has the same sites for
 * the keyboard.
 */
import { useMemo } from "preact/hooks"
import type { Site } from "../asking/shapes.ts"
import { html } from "../parts/html.ts"
import { several } from "../parts/numbers.ts"
import { choose } from "../shell/route.ts"
import { newZealand } from "./newZealand.ts"
import { fromDegrees } from "./nztm.ts"

/** In hundreds of metres, y going south, as the outline is drawn. */
interface Dot {
  readonly site: Site
  readonly x: number
  readonly y: number
}

interface Extent {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

const country: Extent = { x: 10_800, y: -62_000, width: 10_300, height: 14_700 }
/** 80 km: nearer than that one sees dots without a coast. */
const nearest = 800

/** A place that is none of New Zealand would make the map too small to see anything. */
const isNear = ({ x, y }: Dot): boolean => x > 5_000 && x < 26_000 && y > -66_000 && y < -42_000

const dotsOf = (sites: ReadonlyArray<Site>): ReadonlyArray<Dot> =>
  sites
    .flatMap((site) => {
      if (site.wgs84 === null) return []
      const { easting, northing } = fromDegrees(site.wgs84.latitude, site.wgs84.longitude)
      return [{ site, x: easting / 100, y: -northing / 100 }]
    })
    .filter(isNear)

const extentOf = (dots: ReadonlyArray<Dot>): Extent => {
  if (dots.length === 0) return country
  const [xs, ys] = [dots.map(({ x }) => x), dots.map(({ y }) => y)]
  const spanOf = (all: ReadonlyArray<number>) => {
    const [least, most] = all.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)] as const, [
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY
    ] as const)
    const size = Math.max(nearest, (most - least) * 1.16)
    return { middle: (least + most) / 2, size }
  }
  const [across, down] = [spanOf(xs), spanOf(ys)]
  // Not wider than high, so that the list beside it has room.
  const height = Math.max(down.size, across.size)
  const width = Math.max(across.size, height * 0.7)
  return { x: across.middle - width / 2, y: down.middle - height / 2, width, height }
}

export const SiteMap = ({
  chosen,
  sites
}: {
  readonly sites: ReadonlyArray<Site>
  readonly chosen: string | undefined
}) => {
  const dots = useMemo(() => dotsOf(sites), [sites])
  const { height, width, x, y } = useMemo(() => extentOf(dots), [dots])
  const radius = Math.max(width, height) / (dots.length > 500 ? 190 : 110)
  const isChosen = ({ site }: Dot): boolean => String(site.id) === chosen
  // The chosen one is drawn last, above the others.
  const inOrder = [...dots.filter((dot) => !isChosen(dot)), ...dots.filter(isChosen)]
  return html`<svg
    class="map"
    viewBox=${`${x} ${y} ${width} ${height}`}
    role="img"
    aria-label=${`Map of ${several(dots.length, "site")}; the list has the same`}
  >
    <path class="land" d=${newZealand} />
    ${inOrder.map(
      (dot) =>
        html`<circle
          key=${dot.site.id}
          class="site"
          cx=${dot.x}
          cy=${dot.y}
          r=${isChosen(dot) ? radius * 1.7 : radius}
          data-chosen=${isChosen(dot) ? "" : undefined}
          onClick=${() => choose({ site: String(dot.site.id), series: undefined })}
        >
          <title>${dot.site.name}</title>
        </circle>`
    )}
  </svg>`
}
