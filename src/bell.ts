/** Tells somebody in this process that there is work, so that it is not found at the next look only. */
export interface Bell {
  ring(): void
  /** @param come is called from now on when somebody rings. */
  answer(come: () => void): void
}

/** Nobody answers at first: what a command rings for, the servers find at their next look. */
export function createBell(): Bell {
  let come = () => {}
  return {
    ring: () => come(),
    answer: (by) => {
      come = by
    },
  }
}
