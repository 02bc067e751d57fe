/**
 * Invented names of sites, in every form that a server or a client has been seen to get wrong.
 *
 * The words are made up; a place that really bears one of them is a coincidence.
 */
import type { SeededRandom } from "../SeededRandom.ts"

const waters = ["Stream", "River", "Creek", "Drain", "Brook", "Spring", "Wetland", "Gully", "Race", "Bore"]
const owners = [
  "Quillmere",
  "Brackenrill",
  "Tussockby",
  "Mossbank",
  "Harrowfen",
  "Larkspring",
  "Glimmerburn",
  "Pebblewick",
  "Driftmere",
  "Rushholm",
  "Teaselbury",
  "Ravensedge",
  "Thistledown",
  "Wrenfold",
  "Silverreed",
  "Marlbrook",
  "Oatlands End",
  "Hollowmere",
  "Kestrelgate",
  "Sorrelwick",
  "Emberford",
  "Finchling Down",
  "Saltgrass",
  "Willowmark"
]
const places = [
  "Old Mill Road",
  "Twelve Bridges",
  "Upper Ford",
  "Signal Hill Weir",
  "Cooper's End",
  "Top Paddock",
  "Swing Bridge",
  "Railway Culvert",
  "Boundary Fence",
  "Gravel Pit Lane",
  "Station Gate",
  "Lower Terrace",
  "Stony Reach",
  "Intake Structure",
  "Community Hall",
  "Long Straight",
  "Forest Edge",
  "Saddle Track",
  "Quarry Face",
  "River Mouth"
]

/** One form of name for each character that a server or client has been seen to get wrong. */
export const nameForms: ReadonlyArray<(draw: SeededRandom) => string> = [
  (draw) => `${draw.pick(owners)} ${draw.pick(waters)} at ${draw.pick(places)}`,
  (draw) => `O'${draw.pick(owners)} ${draw.pick(waters)} at ${draw.pick(places)}`,
  (draw) => `${draw.pick(owners)} Rv @ ${draw.pick(places)} DEMO`,
  (draw) => `R${draw.int(90, 99)}/${String(draw.int(1, 9_999)).padStart(4, "0")}`,
  (draw) => `${draw.pick(owners)} & Sons ${draw.pick(waters)} ${draw.int(2, 99)}`,
  (draw) => `${draw.pick(owners)} ${draw.pick(waters)} (Backup Logger ${draw.int(1, 9)})`,
  (draw) => `${draw.pick(owners)} Lake [Buoy ${draw.int(1, 99)}]`,
  (draw) => `${draw.pick(owners)} Weir ${draw.int(1, 99)}% Take`,
  (draw) => `Awa-a-Tāne at Ngā Rākau ${draw.int(1, 999)}`,
  (draw) => String(draw.int(300_000, 399_999)),
  (draw) => `${draw.pick(owners)} Drain d/s Pump ${draw.int(1, 99)}`,
  (draw) => `${draw.pick(owners)} Weir "B" #${draw.int(1, 99)}`,
  (draw) => `${draw.pick(owners)} Pumps ${draw.int(1, 9)}+${draw.int(1, 9)}`,
  (draw) => `${draw.pick(owners)} Tile Drain <${draw.int(1, 9)}m; A=B?`,
  (draw) => `Ōkererū Spring, ${draw.pick(owners)} Pūnui`,
  (draw) => `${draw.pick(owners)}  ${draw.pick(waters)} at ${draw.pick(places)} - ${draw.int(1, 99)}.5km`
]
