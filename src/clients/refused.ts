/** Why a command about a client is not carried out, in words for the operator. Nothing has been changed. */
export class ClientRefused extends Error {
  override name = 'ClientRefused'
  readonly kind: 'invalid' | 'conflict' | 'not_found'

  constructor(kind: ClientRefused['kind'], message: string) {
    super(message)
    this.kind = kind
  }
}
