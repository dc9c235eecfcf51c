import { busyWhile, h } from '../dom.ts'
import { explain } from '../errors.ts'

export interface Field {
  name: string
  label: string
  type: 'email' | 'password' | 'text'
  /** As password managers know it. */
  autocomplete: string
  hint?: string
  inputmode?: string
}

/** What stands in place of a form that has worked. */
export interface Done {
  text: string
  next?: HTMLElement
}

interface FormOptions {
  /** Begins the ids of the fields. */
  name: string
  fields: Field[]
  submit: string
  send(values: Record<string, string>): Promise<Done>
}

/** A form that says what went wrong, and gives way to what comes next. Nothing is sent before somebody presses the button. */
export function form({ name, fields, submit, send }: FormOptions): HTMLFormElement {
  const trouble = h('p', { class: 'trouble', role: 'alert' })
  const button = h('button', { type: 'submit', class: 'button primary wide' }, submit)
  const inputs = fields.map((field) => ({ field, input: inputOf(name, field) }))

  const work = async (): Promise<void> => {
    trouble.textContent = ''
    try {
      const { text, next } = await send(Object.fromEntries(inputs.map(({ field, input }) => [field.name, input.value])))
      const done = h('p', { class: 'done', role: 'status', tabindex: '-1' }, text)
      element.replaceWith(done, ...(next ? [next] : []))
      done.focus()
    } catch (error) {
      trouble.textContent = explain(error)
    }
  }

  const element = h(
    'form',
    {
      class: 'fields',
      onsubmit: (event) => {
        event.preventDefault()
        void busyWhile(button, work)
      },
    },
    trouble,
    ...inputs.map(({ field, input }) =>
      h(
        'div',
        { class: 'field' },
        h('label', { for: input.id }, field.label),
        input,
        field.hint && h('p', { class: 'hint', id: `${input.id}-hint` }, field.hint),
      ),
    ),
    button,
  )
  return element
}

function inputOf(form: string, { name, type, autocomplete, inputmode, hint }: Field): HTMLInputElement {
  const id = `${form}-${name}`
  const describedBy = hint && `${id}-hint`
  return h('input', { id, name, type, autocomplete, inputmode, required: true, 'aria-describedby': describedBy })
}
