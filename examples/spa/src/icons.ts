import { s } from './dom.ts'

const paths = {
  key: 'M16 12h5m-2 0v3M11.5 12a3.5 3.5 0 1 1-7 0 3.5 3.5 0 0 1 7 0Z',
  laptop: 'M5 5h14v10H5zM3 19h18',
  phone: 'M8 3h8v18H8zM11 18h2',
  terminal: 'M3 5h18v14H3zM7 10l2.5 2L7 14m5 1h4',
  mask: 'M3 8c3-2 6 0 9 0s6-2 9 0c0 5-1.500 8-4.500 8-2 0-2.500-2-4.500-2s-2.500 2-4.500 2C4.500 16 3 13 3 8Zm4.500 3h2m5 0h2',
  box: 'M4 8l8-4 8 4v8l-8 4-8-4zm0 0l8 4 8-4m-8 4v8',
  alert: 'M12 4l9 16H3zM12 10v4m0 3v.01',
  mail: 'M4 6h16v12H4zm0 1l8 6 8-6',
  check: 'M5 12.500l4.500 4.500L19 7.500',
} as const

export type IconName = keyof typeof paths

/** A line drawing in the colour of the text. Decoration: what it means is said in words beside it. */
export function icon(name: IconName): SVGElement {
  return s('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, s('path', { d: paths[name] }))
}
