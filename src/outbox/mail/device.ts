/** In this order: most browsers claim to be others too. */
const BROWSERS: [RegExp, string][] = [
  [/\bEdg(A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
]
const SYSTEMS: [RegExp, string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bLinux\b/, 'Linux'],
]

/**
 * A User-Agent in words of ours: "Firefox, Windows". Whoever makes a server write to somebody chooses this header, so no
 * text of theirs gets into the mail. Of a program that is not a browser, its name is told in letters and its version in
 * two short numbers (RFC 9110 §10.1.5): that leaves no room for a link, a telephone number or a message.
 */
export function describeDevice(userAgent: string | null): string | null {
  if (userAgent === null) return null
  const browser = nameIn(BROWSERS, userAgent)
  if (browser !== undefined) return [browser, nameIn(SYSTEMS, userAgent) ?? []].flat().join(', ')
  const [, letters = '', version] =
    /^([A-Za-z][A-Za-z-]{0,31})[A-Za-z0-9._-]*(?:\/(\d{1,3}(?:\.\d{1,3})?)[\w.+-]*)?(?=[\s(;]|$)/.exec(userAgent) ?? []
  return letters === '' ? null : [letters, version ?? []].flat().join(' ')
}

function nameIn(table: [RegExp, string][], userAgent: string): string | undefined {
  return table.find(([pattern]) => pattern.test(userAgent))?.[1]
}
