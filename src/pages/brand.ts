import { readFileSync } from 'node:fs'
import { inkOn, lightened, SURFACES } from '../config/colors.ts'
import type { Config } from '../config/config.ts'
import { logoType } from '../config/logo.ts'

/** A file that pages refer to, as sent. */
export interface Asset {
  type: string
  body: string | Buffer
}

const read = (name: string): string => readFileSync(new URL(`assets/${name}`, import.meta.url), 'utf8')

/** The stylesheet: ours, in the colours of the operator. */
export function stylesheet({ BRAND_COLOR, BRAND_COLOR_DARK }: Pick<Config, 'BRAND_COLOR' | 'BRAND_COLOR_DARK'>): Asset {
  const dark = BRAND_COLOR_DARK ?? lightened(BRAND_COLOR)
  const colors = {
    surface: [SURFACES.light, SURFACES.dark],
    accent: [BRAND_COLOR, dark],
    ink: [inkOn(BRAND_COLOR), inkOn(dark)],
  }
  const rules = Object.entries(colors).map(([name, [light, other]]) => `--${name}:light-dark(${light},${other})`)
  return { type: 'text/css; charset=utf-8', body: `:root{${rules.join(';')}}\n${read('style.css')}` }
}

/** The one script, for pages that mails link to. */
export function script(): Asset {
  return { type: 'text/javascript; charset=utf-8', body: read('script.js') }
}

/** The operator's logo, or ours. It is read once: another file takes a restart. */
export function logo({ BRAND_LOGO }: Pick<Config, 'BRAND_LOGO'>): Asset {
  if (BRAND_LOGO === undefined) return { type: 'image/svg+xml', body: read('key.svg') }
  return { type: logoType(BRAND_LOGO), body: readFileSync(BRAND_LOGO) }
}
