import { LOCALES, type Locale } from '../languages.ts'
import { type Html, html, trusted } from './html.ts'
import { linkTo, type View } from './view.ts'

interface Page {
  title: string
  content: Html
  /** For pages with lists. */
  wide?: boolean
  /** Whether a form is shown again because something in it was refused: screen readers read the title first. */
  refused?: boolean
  /** Whether mails link to the page. */
  script?: boolean
  /** Where the browser goes by itself, at once. */
  goOn?: string
}

const NAMES: Record<Locale, string> = { en: 'English', de: 'Deutsch', ru: 'Русский' }

/** A whole document. */
export function layout(
  view: View,
  { title, content, wide = false, refused = false, script = false, goOn }: Page,
): string {
  const { words, locale, theme } = view
  const { BRAND_NAME } = view.config
  const document = html`<!doctype html>
<html lang="${locale}"${theme === undefined ? html`` : html` data-theme="${theme}"`}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
${goOn === undefined ? '' : html`<meta http-equiv="refresh" content="0; url=${goOn}">`}
<title>${refused ? `${words.error}: ` : ''}${title} · ${BRAND_NAME}</title>
<link rel="stylesheet" href="/account/style.css">
<link rel="icon" href="/account/logo">
${script ? html`<script src="/account/script.js" defer></script>` : ''}
</head>
<body>
<div class="page${wide ? ' wide' : ''}">
<header class="brand">${mark(view)}<span>${BRAND_NAME}</span></header>
<main class="card">
<h1>${title}</h1>
${content}
</main>
<footer><nav aria-label="${words.language}">${LOCALES.map((each) => languageLink(view, each))}</nav></footer>
</div>
</body>
</html>
`
  return document.toString()
}

function languageLink(view: View, locale: Locale): Html {
  const name = html`<span lang="${locale}">${NAMES[locale]}</span>`
  if (locale === view.locale) return html`<span aria-current="true">${name}</span>`
  return html`<a href="${linkTo(view, view.path, { ui_locales: locale })}" hreflang="${locale}">${name}</a>`
}

/** A key, for those who set no logo of their own. */
const KEY = trusted(
  '<svg class="mark" viewBox="0 0 24 24" width="28" height="28" aria-hidden="true"><rect width="24" height="24" rx="6" fill="currentColor"/><g class="ink" fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><circle cx="9" cy="12" r="3.25"/><path d="M12.25 12H19m-2.5 0v2.75"/></g></svg>',
)

function mark({ config }: View): Html {
  return config.BRAND_LOGO === undefined ? KEY : html`<img class="mark" src="/account/logo" alt="" height="32">`
}
