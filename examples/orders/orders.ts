import { randomUUID } from 'node:crypto'

export interface Order {
  id: string
  item: string
  /** `sub` of the token with which it was placed. */
  owner: string
  placed_at: string
}

/** Everybody's orders, newest first. In memory: this example is about who may read them. */
export function createOrderBook() {
  const orders: Order[] = []
  const limit = 1000
  return {
    of: (owner: string): Order[] => orders.filter((order) => order.owner === owner),
    all: (): Order[] => [...orders],
    place(owner: string, item: string): Order {
      const order = { id: randomUUID(), item, owner, placed_at: new Date().toISOString() }
      orders.unshift(order)
      orders.length = Math.min(orders.length, limit)
      return order
    },
  }
}
