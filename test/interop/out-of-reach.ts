/** As pip, Go, Cargo and Maven say that a registry did not give them what they asked for. */
const unreachable =
  /No matching distribution found|Could not (connect|transfer|resolve host)|failed to download|dial tcp|Connection refused|Network is unreachable|Name or service not known|timed out|403 Forbidden|429 Too Many|status code: [45]|HTTP error [45]/i
/** What came was not what the lock file names. That is never a matter of the network. */
const tampered = /checksum|do not match the hashes/i

/** Whether an install has failed for want of a network, so that nothing is known of the program. */
export const isOutOfReach = (message: string): boolean => unreachable.test(message) && !tampered.test(message)
