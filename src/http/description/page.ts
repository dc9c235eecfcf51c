import { problems } from '../../errors.ts'
import { code, escape, type Html, html, join, words } from './html.ts'
import { exampleOf, type Field, fieldsOf } from './schema.ts'
import type { OpenApi, OperationObject, Reply } from './shapes.ts'
import { style } from './style.ts'

interface Entry extends OperationObject {
  method: string
  path: string
  anchor: string
}

/** The description as one page of HTML: no script, no request to anywhere, readable in light and dark and on paper. */
export function page(api: OpenApi): string {
  const entries = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(
      ([method, operation]): Entry => ({
        ...operation,
        method: method.toUpperCase(),
        path,
        anchor: operation.operationId ?? `${method}-${path}`,
      }),
    ),
  )
  const groups = api.tags
    .map(({ name, description }) => ({
      name,
      description,
      entries: entries.filter((entry) => entry.tags?.includes(name)),
    }))
    .filter((group) => group.entries.length > 0)
  const base = api.servers[0]?.url ?? ''
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${api.info.title} API</title>
<style>${escape.none(style)}</style>
</head>
<body>
<a class="skip" href="#content">Skip to content</a>
<nav aria-label="Operations">
<a class="brand" href="#top">${KEY}<span>${api.info.title}</span></a>
${join(groups.map((group) => html`<h2>${group.name}</h2><ul>${join(group.entries.map((entry) => html`<li><a href="#${entry.anchor}">${badge(entry.method)}<span>${entry.path}</span></a></li>`))}</ul>`))}
<h2>Reference</h2><ul><li><a href="#problems"><span>Problems</span></a></li><li><a href="/openapi.json"><span>openapi.json</span></a></li></ul>
</nav>
<main id="content">
<header id="top"><h1>${api.info.title}</h1><p class="lead">${api.info.description}</p><p><span class="label">Issuer</span> <code>${base}</code></p>
${STEPS}
</header>
${join(groups.map((group) => html`<section class="group"><h2 id="${group.name}">${group.name}</h2><p>${words(group.description)}</p>${join(group.entries.map((entry) => operation(entry, base)))}</section>`))}
${problemTable()}
</main>
</body>
</html>
`.text
}

const KEY = escape.none(
  '<svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true"><rect width="32" height="32" rx="8" fill="currentColor" opacity=".14"/><g fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"><circle cx="11.5" cy="16" r="4.5"/><path d="M16 16h10M22.5 16v4M26 16v3"/></g></svg>',
)

const STEPS = html`<ol class="steps">
<li><b>Sign in</b> with <a href="#postLogin"><code>POST /login</code></a>. Keep the access token in memory; it lives for minutes.</li>
<li><b>Call your services</b> with <code>Authorization: Bearer …</code>. They verify it offline with the <a href="#getWellKnownJwksJson">public keys</a>.</li>
<li><b>Refresh</b> with <a href="#postRefresh"><code>POST /refresh</code></a> before it expires. The refresh token is replaced every time.</li>
<li><b>Sign out</b> with <a href="#postLogout"><code>POST /logout</code></a>. The session ends at once.</li>
</ol>
<p class="note">Bodies are JSON in UTF-8, at most 16 KiB; members that are not described here are refused. Every reply carries <code>X-Request-Id</code>. HEAD works wherever GET does.</p>`

function operation(entry: Entry, base: string): Html {
  const body = Object.values(entry.requestBody?.content ?? {})[0]?.schema
  const replies = Object.entries(entry.responses)
  const [status, success] = replies.find(([each]) => each.startsWith('2')) ?? []
  const sample = exampleOf(Object.values(success?.content ?? {})[0]?.schema)
  return html`<article id="${entry.anchor}">
<h3><a href="#${entry.anchor}">${badge(entry.method)}<code>${entry.path}</code></a><span class="auth">${credential(entry)}</span></h3>
<div class="columns"><div>
<p class="summary">${entry.summary ?? ''}</p>
${entry.description ? html`<p>${words(entry.description)}</p>` : ''}
${parameters(entry)}
${body ? html`<h4>Body${entry.requestBody?.required ? '' : html` <small>optional</small>`}</h4>${fieldTable(fieldsOf(body))}` : ''}
<h4>Replies</h4>
<table class="replies"><tbody>${join(replies.map(([each, reply]) => replyRow(each, reply)))}</tbody></table>
</div><div class="samples">
<figure><figcaption>Request</figcaption><pre><code>${curl(entry, base, body ? exampleOf(body) : undefined)}</code></pre></figure>
${sample === undefined ? '' : html`<figure><figcaption>Reply <span class="status s2">${status ?? ''}</span></figcaption><pre><code>${JSON.stringify(sample, null, 2)}</code></pre></figure>`}
</div></div>
</article>`
}

function badge(method: string): Html {
  return html`<span class="method ${method.toLowerCase()}">${method}</span>`
}

function credential({ security = [] }: Entry): string {
  const names = security.flatMap((each) => Object.keys(each))
  if (names.includes('accessToken')) return 'access token'
  return names.includes('refreshCookie') ? 'refresh token: cookie or body' : 'anyone'
}

function parameters({ parameters: all = [] }: Entry): Html | '' {
  if (all.length === 0) return ''
  const fields = all.map(
    (each): Field => ({
      name: each.name,
      type: `${each.in}, ${[each.schema?.type ?? 'string'].flat().join(' | ')}`,
      required: each.required ?? false,
      description: each.description ?? each.schema?.description ?? '',
    }),
  )
  return html`<h4>Parameters</h4>${fieldTable(fields)}`
}

function fieldTable(fields: Field[]): Html | '' {
  if (fields.length === 0) return ''
  return html`<table class="fields"><tbody>${join(
    fields.map(
      (field) =>
        html`<tr><th scope="row"><code>${field.name}</code>${field.required ? html`<small class="required">required</small>` : ''}</th><td><span class="type">${field.type}</span>${field.description ? html`<br>${words(field.description)}` : ''}</td></tr>`,
    ),
  )}</tbody></table>`
}

function replyRow(status: string, reply: Reply): Html {
  const media = Object.entries(reply.content ?? {})[0]
  const codes = Object.keys(media?.[1].examples ?? {})
  const fields = codes.length > 0 ? [] : fieldsOf(media?.[1].schema)
  return html`<tr><th scope="row"><span class="status s${status.charAt(0)}">${status}</span></th><td>${
    codes.length > 0
      ? join(codes.map((each) => html`<a class="code" href="#problem-${each}">${each}</a> `))
      : html`${reply.description}${fields.length > 0 ? html`<details><summary>${fields.length} ${fields.length === 1 ? 'member' : 'members'}</summary>${fieldTable(fields)}</details>` : ''}`
  }</td></tr>`
}

function curl(entry: Entry, base: string, body: unknown): Html {
  const lines = [`curl${entry.method === 'GET' ? '' : ` -X ${entry.method}`} ${base}${entry.path}`]
  const keys = (entry.security ?? []).flatMap((each) => Object.keys(each))
  if (keys.includes('accessToken')) lines.push(`-H "Authorization: Bearer $ACCESS_TOKEN"`)
  if (keys.includes('refreshCookie')) lines.push(`-H "Origin: ${base}"`, '-b cookies.txt -c cookies.txt')
  if (entry.path === '/login') lines.push('-c cookies.txt')
  if (body && Object.keys(body).length > 0)
    lines.push('-H "Content-Type: application/json"', `-d '${JSON.stringify(body)}'`)
  return code(lines.join(' \\\n  '))
}

function problemTable(): Html {
  return html`<section class="group"><h2 id="problems">Problems</h2>
<p>Whatever is refused is answered with a problem document (RFC 9457, <code>application/problem+json</code>). Decide by <code>code</code>: it is stable. <code>instance</code> is the request id, for whoever reads the log. Any operation may answer 400, 404, 405, 408, 421, 431 or 500 as well as what is listed with it.</p>
<table class="problems"><tbody>${join(
    Object.entries(problems).map(
      ([name, { status, title }]) =>
        html`<tr id="problem-${name}"><th scope="row"><span class="status s${String(status).charAt(0)}">${status}</span></th><td><code>${name}</code></td><td>${title}</td></tr>`,
    ),
  )}</tbody></table></section>`
}
