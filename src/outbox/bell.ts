/** Tells the worker of this process that something has been enqueued, so that it does not go out at the next look only. */
export interface Bell {
  ring(): void
  /** @param come is called from now on when somebody rings. */
  answer(come: () => void): void
}

/** Nobody answers at first: where no worker runs, as in a command, those of the servers find it. */
export function createBell(): Bell {
  let come = () => {}
  return {
    ring: () => come(),
    answer: (by) => {
      come = by
    },
  }
}
