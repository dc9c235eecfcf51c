import type { CATALOGUE } from './catalogue.ts'

type Catalogue = typeof CATALOGUE

/** The column `type`. */
export type EventName = keyof Catalogue

/** Who or what an event is about. */
interface About {
  userId?: string | null
  familyId?: string | null
  clientId?: string | null
}

interface Kinds {
  text: string
  number: number
  names: string[]
  settings: Record<string, unknown>
}
type ValueOf<Field> = Field extends { kind: infer Kind extends keyof Kinds } ? Kinds[Kind] : never
type OptionalIn<Fields> = {
  [Name in keyof Fields]: Fields[Name] extends { optional: true } ? Name : never
}[keyof Fields]
type DetailsOf<Fields> = { [Name in Exclude<keyof Fields, OptionalIn<Fields>>]: ValueOf<Fields[Name]> } & {
  [Name in OptionalIn<Fields>]?: ValueOf<Fields[Name]>
}

type EventOf<Name, Outcome, Form> = About & { type: Name; outcome: Outcome } & (Form extends { reasons: infer Reasons }
    ? { reason: keyof Reasons }
    : { reason?: undefined }) &
  (Form extends { details: infer Fields } ? { details: DetailsOf<Fields> } : { details?: undefined })

type OutcomeOf<Name extends EventName> = keyof Catalogue[Name] & ('success' | 'failure')
type IsTallied<Form> = Form extends { tallied: true } ? true : false

type EventsWhere<Tallied extends boolean> = {
  [Name in EventName]: {
    [Outcome in OutcomeOf<Name>]: IsTallied<Catalogue[Name][Outcome]> extends Tallied
      ? EventOf<Name, Outcome, Catalogue[Name][Outcome]>
      : never
  }[OutcomeOf<Name>]
}[EventName]

/** Events that change something. */
export type AuditEvent = EventsWhere<false>

/** Events that change nothing; see createTally. */
export type TalliedEvent = EventsWhere<true>

type ReasonOf<Name extends EventName> = Extract<AuditEvent | TalliedEvent, { type: Name; reason: string }>['reason']

/** Why a family ended. The value is stored in the row and in the trail; `sessions why` puts it into words. */
export type EndCause = ReasonOf<'session.ended'>

/** Why a sign-in failed. */
export type LoginFailure = ReasonOf<'login'>

/** Why an authentic refresh token was refused without ending anything. */
export type RefreshRefusal = ReasonOf<'refresh.refused'>

/** Why an authentic refresh token of a bound family was refused for want of its key. */
export type ProofRefusal = ReasonOf<'refresh.dpop_refused'>

/** By which rule a refresh token was judged to be a replay. */
export type ReuseReason = ReasonOf<'refresh.reuse_detected'>

/** Why a link or a code from a mail was refused. */
export type CodeRefusal = ReasonOf<'password.reset'>

/** Why what was mailed to confirm an address was refused. */
export type AddressRefusal = ReasonOf<'user.email_changed'>

/** Why an invitation was not accepted. */
export type InvitationRefusal = ReasonOf<'invitation.accepted'>

/** Why a service client could not be authenticated. */
export type ClientRefusal = Extract<TalliedEvent, { type: 'client.authenticated'; outcome: 'failure' }>['reason']
