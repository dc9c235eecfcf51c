/** A mail that Claviger has sent. */
export interface Mail {
  id: string
  to: string
  subject: string
  text: string
  /** Milliseconds since 1970. */
  time: number
}

const APART_MS = 1500

/** Looks for mail as long as the page is seen. @param show is given each once, the oldest first, and whether it has just come. */
export function watchInbox(show: (mail: Mail, isNew: boolean) => void): void {
  const shown = new Set<string>()
  let isFirst = true
  const look = async (): Promise<void> => {
    if (document.hidden) return
    const mails = await load()
    for (const mail of mails?.toReversed() ?? []) {
      if (shown.has(mail.id)) continue
      shown.add(mail.id)
      show(mail, !isFirst)
    }
    if (mails) isFirst = false
  }
  setInterval(() => void look(), APART_MS)
  void look()
}

/** @returns undefined without an answer. */
async function load(): Promise<Mail[] | undefined> {
  try {
    const reply = await fetch('/inbox.json')
    return reply.ok ? ((await reply.json()) as Mail[]) : undefined
  } catch {
    return undefined
  }
}
