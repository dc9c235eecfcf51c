import { busyWhile, button, card, h } from '../dom.ts'
import { explain } from '../errors.ts'
import { icon } from '../icons.ts'
import type { Session } from '../session.ts'
import { ago } from '../times.ts'

interface Order {
  id: string
  item: string
  owner: string
  placed_at: string
}

const wares = ['Brass key', 'Padlock', 'Key ring', 'Lantern', 'Iron hinge', 'Door bell', 'Lock oil', 'Chest, small']

/** Orders of whoever is signed in, kept by another service that never asks the issuer about a token. */
export function ordersView({ client, config, user }: Session): HTMLElement {
  const list = h('ul', { class: 'rows' })
  const trouble = h('p', { class: 'trouble', role: 'alert' })
  const item = h('input', { id: 'item', name: 'item', placeholder: wares[0], maxlength: '80', autocomplete: 'off' })
  const submit = h('button', { type: 'submit', class: 'button primary' }, 'Add order')
  const isAdmin = user.roles.includes('admin')
  let path = '/orders'

  /** The token goes along by itself, and a new one is fetched first if that is needed. */
  const call = async (init?: RequestInit): Promise<Response | undefined> => {
    try {
      const reply = await client.fetch(config.orders + path, init)
      trouble.textContent = reply.ok ? '' : `The orders service answered ${reply.status}.`
      return reply.ok ? reply : undefined
    } catch (error) {
      trouble.textContent = explain(error)
      return undefined
    }
  }

  const load = async (): Promise<void> => {
    const reply = await call()
    if (!reply) return
    const { orders } = (await reply.json()) as { orders: Order[] }
    list.replaceChildren(...orders.map((order) => row(order, user.id)))
    if (orders.length === 0) list.append(h('li', { class: 'empty' }, 'No orders yet. Add one.'))
  }

  const place = async (): Promise<void> => {
    path = '/orders'
    const name = item.value.trim() || item.placeholder
    const body = JSON.stringify({ item: name })
    if (!(await call({ method: 'POST', headers: { 'content-type': 'application/json' }, body }))) return
    item.value = ''
    item.placeholder = wares[Math.floor(Math.random() * wares.length)] ?? 'Brass key'
    await load()
  }

  const form = h(
    'form',
    {
      class: 'inline',
      onsubmit: (event) => {
        event.preventDefault()
        void busyWhile(submit, place)
      },
    },
    h('label', { class: 'hidden', for: 'item' }, 'What to order'),
    item,
    submit,
  )
  const everybody = button('Everybody’s orders', 'plain', () => {
    path = path === '/orders' ? '/admin/orders' : '/orders'
    everybody.textContent = path === '/orders' ? 'Everybody’s orders' : 'My orders'
    return load()
  })
  void load()
  return card(
    'orders',
    'Orders',
    'From another service. It verifies the token offline, and hears of every session that ends.',
    form,
    trouble,
    list,
    isAdmin && everybody,
  )
}

function row({ item, owner, placed_at }: Order, me: string): HTMLElement {
  const whose = owner === me ? '' : ` · ${owner.slice(0, 8)}…`
  return h(
    'li',
    { class: 'row' },
    h('span', { class: 'badge' }, icon('box')),
    h('div', { class: 'grow' }, h('b', {}, item), h('span', { class: 'meta' }, ago(placed_at) + whose)),
  )
}
