import type { ProblemCode } from '../errors.ts'
import { type Html, html } from './html.ts'
import { linkTo, type View } from './view.ts'

/** What was wrong with a form: in one of its fields, or as a whole. */
export interface Fault {
  field: string | undefined
  text: string
  code: ProblemCode
  /** Where it can be mended. */
  way?: { path: string; label: string }
}

export interface Field {
  name: string
  label: string
  type: 'email' | 'password' | 'text'
  /** As password managers understand it (HTML standard, autofill). */
  autocomplete: 'username' | 'email' | 'current-password' | 'new-password' | 'one-time-code' | 'off'
  value?: string | undefined
  hint?: string
  least?: number
  fault?: Fault | undefined
  /** The first field to be filled in. */
  first?: boolean
}

/** A field with its label, and the hint or what was wrong. Passwords are never sent back to the page. */
export function field({ name, label, type, autocomplete, value, hint, least, fault, first = false }: Field): Html {
  const wrong = fault?.field === name ? fault.text : undefined
  const note = wrong === undefined ? hint : undefined
  // The field that was wrong is where to go on, else the first one.
  const focus = fault?.field === undefined ? first : wrong !== undefined
  // A screen reader begins with the field that has the focus, past whatever was wrong with the form as a whole.
  const whole = focus && fault && wrong === undefined ? ALERT : undefined
  const described = [whole, wrong === undefined ? hint && `${name}-hint` : `${name}-fault`].filter(Boolean).join(' ')
  const attributes = [
    html`id="${name}" name="${name}" type="${type}" autocomplete="${autocomplete}" required`,
    ...(type === 'email' ? [html` autocapitalize="none" spellcheck="false" maxlength="254"`] : []),
    ...(autocomplete === 'one-time-code' ? [html` class="code" inputmode="numeric" maxlength="20"`] : []),
    ...(value === undefined || value === '' ? [] : [html` value="${value}"`]),
    ...(least === undefined ? [] : [html` minlength="${least}"`]),
    ...(wrong === undefined ? [] : [html` aria-invalid="true"`]),
    ...(described === '' ? [] : [html` aria-describedby="${described}"`]),
    ...(focus ? [html` autofocus`] : []),
  ]
  return html`<div class="field">
<label for="${name}">${label}</label>
<input ${attributes}>
${wrong === undefined ? '' : html`<p class="fault" id="${name}-fault" role="alert">${wrong}</p>`}
${note === undefined ? '' : html`<p class="hint" id="${name}-hint">${note}</p>`}
</div>`
}

/** A form that is sent to a page of ours. */
export function form(view: View, path: string, content: Html): Html {
  return html`<form method="post" action="${linkTo(view, path)}">${content}</form>`
}

export function submit(label: string): Html {
  return html`<button type="submit" class="primary">${label}</button>`
}

/** The id of what is wrong with a form as a whole. */
const ALERT = 'alert'

/** What is wrong with a form as a whole. */
export function alert(view: View, fault: Fault | undefined): Html | undefined {
  if (!fault || fault.field !== undefined) return undefined
  const { text, way } = fault
  const go = way && html` <a href="${linkTo(view, way.path)}">${way.label}</a>`
  return html`<p class="notice alert" id="${ALERT}" role="alert">${text}${go}</p>`
}

export function notice(text: string, role: 'alert' | 'status'): Html {
  return html`<p class="notice ${role}" role="${role}">${text}</p>`
}

/**
 * Tells password managers whose password a form is about: without it they would store another account's.
 */
export function account(email: string): Html {
  return html`<input type="email" value="${email}" autocomplete="username" readonly hidden aria-label="username">`
}
