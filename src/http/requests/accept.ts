/**
 * Whether a request asks for this media type by its name, and at least as much as for JSON (RFC 9110 §12.5.1). Wildcards ask
 * for nothing in particular: every HTTP library sends one.
 */
export function asksFor(accept: string | undefined, type: string): boolean {
  const weights = weightsOf(accept ?? '')
  const weight = weights.get(type) ?? 0
  return weight > 0 && weight >= (weights.get('application/json') ?? 0)
}

function weightsOf(accept: string): Map<string, number> {
  return new Map(
    accept
      .toLowerCase()
      .split(',')
      .map((range) => {
        const [name = '', ...parameters] = range.split(';').map((part) => part.trim())
        const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
        return [name, weight === undefined ? 1 : Number(weight) || 0]
      }),
  )
}
