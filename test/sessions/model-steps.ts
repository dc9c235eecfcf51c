import fc from 'fast-check'

/** Where a request waits: for the row, a connection, the counters of a limit, the answer of the database. */
export type Waits = 'row' | 'connection' | 'counters' | 'answer'

export type Step =
  | { do: 'refresh'; lost: 'nothing' | 'reply' | 'request' }
  /** A refresh that waits in the server while time goes by, and whose answer may then be lost. */
  | { do: 'slow refresh'; where: Waits; seconds: number; lost: boolean }
  /** The line to the database breaks when the rotation is made and its answer not in. */
  | { do: 'refresh of unknown fate'; seconds: number }
  /** The client hangs up while its refresh waits. */
  | { do: 'hang up'; where: 'row' | 'connection' }
  /** The database is away, perhaps just when an answer was lost, and the client asks again and again. */
  | { do: 'brown-out'; lost: boolean; pauses: number[] }
  /** Two or more requests with the same token at once, from the same client. */
  | { do: 'tabs'; count: number; sameKey: boolean }
  /** A retry waits in the server while its client uses the successor. */
  | { do: 'overtaken' }
  | { do: 'wait'; seconds: number }
  | { do: 'steal' }
  /** The thief presents what was stolen, possibly several times. With the owner's key it is a script in the page. */
  | { do: 'thief'; keyed: boolean; holds: 'nothing' | 'another key' | 'the key' }
  /** A copy of an earlier request of the client arrives only now. */
  | { do: 'straggler'; back: number }
  | { do: 'logout' }
  | { do: 'logout during refresh' }
  | { do: 'password' }
  /** The server dies while a refresh is under way; another process takes over. */
  | { do: 'crash' }
  | { do: 'host clock jumps'; hours: number }
  | { do: 'checkpoint' }
  /** The database fails over to a copy that lacks the latest commits. */
  | { do: 'rollback' }
  | { do: 'garbage'; at: number }

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 60,
    arbitrary: fc.record({
      do: fc.constant('refresh' as const),
      lost: fc.constantFrom('nothing', 'nothing', 'reply', 'request'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('slow refresh' as const),
      where: fc.constantFrom('row', 'connection', 'counters', 'answer'),
      seconds: fc.constantFrom(0.5, 2, 12, 60),
      lost: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('refresh of unknown fate' as const), seconds: fc.constantFrom(0, 12) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('hang up' as const), where: fc.constantFrom('row', 'connection') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('brown-out' as const),
      lost: fc.boolean(),
      pauses: fc.array(fc.constantFrom(0.5, 2, 5, 9), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('tabs' as const),
      count: fc.integer({ min: 2, max: 5 }),
      sameKey: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('overtaken' as const) }) },
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      seconds: fc.constantFrom(0.5, 2, 5, 9, 11, 60, 900, 3000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(3601, 86_401) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('steal' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('thief' as const),
      keyed: fc.boolean(),
      holds: fc.constantFrom('nothing', 'another key', 'the key'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('straggler' as const), back: fc.integer({ min: 0, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('logout' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('logout during refresh' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('password' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('host clock jumps' as const), hours: fc.constantFrom(-48, -1, 1, 48) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('checkpoint' as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('rollback' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('garbage' as const), at: fc.integer({ min: 0, max: 95 }) }) },
)
