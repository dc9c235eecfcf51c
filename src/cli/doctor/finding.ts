/** One line of the doctor's report. */
export interface Finding {
  check: string
  status: 'ok' | 'warning' | 'failed'
  message: string
  /** What to do about it. */
  remedy: string | null
}

export function fine(check: string, message: string, remedy: string | null = null): Finding {
  return { check, status: 'ok', message, remedy }
}

export function unsure(check: string, message: string, remedy: string): Finding {
  return { check, status: 'warning', message, remedy }
}

export function bad(check: string, message: string, remedy: string): Finding {
  return { check, status: 'failed', message, remedy }
}
