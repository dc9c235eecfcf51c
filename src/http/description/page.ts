import { readFileSync } from 'node:fs'
import type { OpenApi } from './shapes.ts'

/** A file of the page, as sent. */
export interface PageFile {
  type: string
  body: string | Buffer
}

/**
 * `sandbox` gives the page an opaque origin. Swagger UI is a megabyte of other people's script, and on the issuer's
 * origin it could exchange the reader's refresh cookie for tokens. In the sandbox it reaches neither cookies nor
 * storage, and it may not connect anywhere.
 */
export const PAGE_POLICY = [
  'sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox',
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  'img-src data:',
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/** Swagger UI over the description, which is part of its start-up script, so that the page requests nothing. */
export function makePage(api: OpenApi): { html: string; files: ReadonlyMap<string, PageFile> } {
  const files = new Map<string, PageFile>([
    ['swagger-ui.css', { type: CSS, body: read(import.meta.resolve('swagger-ui-dist/swagger-ui.css')) }],
    [
      'swagger-ui-bundle.js',
      { type: JAVASCRIPT, body: read(import.meta.resolve('swagger-ui-dist/swagger-ui-bundle.js')) },
    ],
    ['page.css', { type: CSS, body: STYLE }],
    ['start.js', { type: JAVASCRIPT, body: start(api) }],
  ])
  return { html: html(api.info.title), files }
}

const CSS = 'text/css; charset=utf-8'
const JAVASCRIPT = 'text/javascript; charset=utf-8'

const read = (url: string): Buffer => readFileSync(new URL(url))

const html = (title: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
</head>
<body>
<main id="api"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

/** Operations cannot be tried out: the page is for reading, and has no credential. */
const start = (api: OpenApi) => `const dark = matchMedia('(prefers-color-scheme: dark)')
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches)
follow()
dark.addEventListener('change', follow)
SwaggerUIBundle({
  domNode: document.getElementById('api'),
  deepLinking: true,
  supportedSubmitMethods: [],
  syntaxHighlight: { theme: 'tomorrow-night' },
  validatorUrl: null,
  plugins: [() => ({ wrapComponents: { authorizeBtn: () => () => null } })],
  spec: ${JSON.stringify(api)},
})
`

/** Corrects parts of Swagger UI with too little contrast (WCAG 2.2, 1.4.3) or too wide for a telephone (1.4.10). */
const STYLE = `html { color-scheme: light dark; }
body { margin: 0; }
.swagger-ui .opblock .opblock-summary-method { color: #111; text-shadow: none; }
.swagger-ui .info .title small, .swagger-ui .info .title small.version-stamp { background: #4a5260; }
html:not(.dark-mode) .swagger-ui .info a { color: #1a5fb4; }
html:not(.dark-mode) .swagger-ui .parameter__in { color: #555; }
.swagger-ui .json-schema-2020-12-expand-deep-button { color: inherit; }
.dark-mode .swagger-ui .headers .header-col { color: #e4e6e6; }
.swagger-ui .response-col_links { display: none; }
@media (max-width: 30rem) { .swagger-ui .wrapper, .swagger-ui .responses-inner { padding-inline: 8px; } }
`
