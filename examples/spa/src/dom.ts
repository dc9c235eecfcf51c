type Child = Node | string | null | undefined | false
type Attributes = Record<string, string | number | boolean | undefined | ((event: Event) => void)>

/** An HTML element. `on…` attributes are listeners; false and undefined leave an attribute away. Text is never markup. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children)
}

/** The same for SVG. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children)
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value)
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

/** A button that cannot be pressed twice while its work goes on. */
export function button(label: string, kind: string, work: () => unknown): HTMLButtonElement {
  const element = h('button', { type: 'button', class: `button ${kind}` }, label)
  element.addEventListener('click', () => void busyWhile(element, work))
  return element
}

/** Errors are the business of `work`: what it throws ends in the console. */
export async function busyWhile(element: HTMLButtonElement, work: () => unknown): Promise<void> {
  if (element.ariaBusy === 'true') return
  // Not `disabled`: the focus would be lost.
  element.ariaBusy = 'true'
  try {
    await work()
  } finally {
    element.ariaBusy = null
  }
}

/** A panel with a heading. */
export function card(name: string, title: string, hint: string, ...children: Child[]): HTMLElement {
  return h(
    'section',
    { class: `card ${name}`, 'aria-labelledby': `${name}-title` },
    h('h2', { id: `${name}-title` }, title),
    h('p', { class: 'hint' }, hint),
    ...children,
  )
}
