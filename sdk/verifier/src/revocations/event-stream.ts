/** One event of a stream of server-sent events, as the HTML standard has them. */
export interface ServerEvent {
  type: string
  data: string
  /** Its own: that of an event before is not carried over. */
  id: string | undefined
}

/** Characters of a line, and of the data of an event. The issuer's are of one or two thousand. */
const MAX_LENGTH = 64 * 1024

/**
 * @returns a function that takes the bytes as they come, cut anywhere, and gives the events that are complete with them.
 * It throws if a line or an event is too long, or what comes is not UTF-8: nothing of it is kept then.
 */
export function createEventParser(maxLength = MAX_LENGTH): (bytes: Uint8Array) => ServerEvent[] {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const lineEnd = /\r\n|\r|\n/g
  /** A line that has begun, and the place in it up to which there is no end. */
  let rest = ''
  let afterReturn = false
  let type = ''
  let id: string | undefined
  let data: string[] = []
  let length = 0

  const take = (line: string): ServerEvent | undefined => {
    if (line.length > maxLength) throw new Error(`a line of the stream has more than ${maxLength} characters`)
    if (line === '') {
      const event = type !== '' || data.length > 0 ? { type: type || 'message', data: data.join('\n'), id } : undefined
      type = ''
      id = undefined
      data = []
      length = 0
      return event
    }
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'event') type = value
    else if (name === 'id') id = value
    else if (name === 'data') {
      length += value.length + 1
      if (length > maxLength) throw new Error(`an event of the stream has more than ${maxLength} characters`)
      data.push(value)
    }
    // Others, and comments, whose name is empty, mean nothing.
    return undefined
  }

  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true })
    // The second half of a line end that was cut in two.
    if (afterReturn && text !== '') {
      if (text.startsWith('\n')) text = text.slice(1)
      afterReturn = false
    }
    const events: ServerEvent[] = []
    lineEnd.lastIndex = rest.length
    text = rest + text
    let from = 0
    for (let end = lineEnd.exec(text); end; end = lineEnd.exec(text)) {
      const event = take(text.slice(from, end.index))
      if (event) events.push(event)
      from = lineEnd.lastIndex
      afterReturn = from === text.length && end[0] === '\r'
    }
    rest = text.slice(from)
    if (rest.length > maxLength) throw new Error(`a line of the stream has more than ${maxLength} characters`)
    return events
  }
}
