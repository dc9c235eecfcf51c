import { expect } from 'vitest'

const heartbeatsIn = (text: string): number => text.split('event: heartbeat').length - 1

/** Heartbeats come at the beginning and every two seconds. Through a proxy that collects what it hands on, several at once. */
export async function comeOneByOne(pieces: string[]): Promise<void> {
  await expect.poll(() => heartbeatsIn(pieces.join('')), { timeout: 6000 }).toBeGreaterThanOrEqual(2)
  expect(Math.max(...pieces.map(heartbeatsIn))).toBe(1)
}
