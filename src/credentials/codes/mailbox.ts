/** Two names of one domain, where dots before the @ mean nothing. */
const GMAIL = ['gmail.com', 'googlemail.com']

/**
 * The mailbox that an address leads to by the custom of mail servers, under which what goes there is counted. What follows a
 * plus sign is the owner's to choose, so whoever wants to flood somebody could make up a new address for each mail. Good for
 * counting alone: on a server without that custom, two mailboxes share one count.
 */
export function mailboxOf(email: string): string {
  const [local = '', domain = ''] = email.split('@')
  // An address may begin with the sign.
  const name = /^.[^+]*/.exec(local)?.[0] ?? ''
  return GMAIL.includes(domain) ? `${name.replaceAll('.', '')}@${GMAIL[0]}` : `${name}@${domain}`
}
