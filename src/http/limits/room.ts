import type { FastifyRequest } from 'fastify'
import type { Limits } from './limits.ts'

/**
 * Refuses, at the pace of other refusals, what there is no room for. Comes before anything is counted in the database: in a
 * flood, most requests are refused here.
 * @param work throws if it has no room.
 */
export async function expectRoom(
  work: { expectRoom(): void },
  limits: Pick<Limits, 'turnAway'>,
  request: FastifyRequest,
): Promise<void> {
  try {
    work.expectRoom()
  } catch (error) {
    await limits.turnAway(request)
    throw error
  }
}
