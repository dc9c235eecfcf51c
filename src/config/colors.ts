// Contrast as WCAG 2.2 computes it, so that no colour of an operator's makes a page illegible.

/** What text and controls stand on. The stylesheet takes these from here. */
export const SURFACES = { light: '#ffffff', dark: '#191c22' } as const
/** For text, WCAG 2.2, 1.4.3. It covers the 3:1 of controls (1.4.11). */
export const ENOUGH = 4.5
/** What we choose ourselves should be easy to read, not just legible (1.4.6). */
const AMPLE = 7

/** The contrast ratio of two colours in the form #rrggbb, from 1 to 21. */
export function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b)
  return (lighter + 0.05) / (darker + 0.05)
}

/** White or black, whichever is easier to read on a colour. One of them always has enough contrast. */
export function inkOn(color: string): string {
  return contrast('#ffffff', color) >= ENOUGH ? '#ffffff' : '#000000'
}

/** The same colour, as much lighter as it takes to be easy to read on the dark surface. */
export function lightened(color: string): string {
  for (let share = 0; share < 1; share += 0.02) {
    const mixed = channels(color).map((value) => Math.round(value + (255 - value) * share))
    const candidate = `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`
    if (contrast(candidate, SURFACES.dark) >= AMPLE) return candidate
  }
  return '#ffffff'
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = channels(color).map((value) => {
    const share = value / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function channels(color: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16))
}
