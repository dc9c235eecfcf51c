/** The style sheet of the page. The page's Content-Security-Policy allows it by its hash. */
export const style = `
:root { color-scheme: light dark;
  --ground: light-dark(#fbfbf9, #14161a); --panel: light-dark(#ffffff, #1b1e24); --line: light-dark(#e5e4de, #2c313a);
  --ink: light-dark(#1c1f24, #e7e9ee); --soft: light-dark(#5d6470, #9aa3b2); --gold: light-dark(#8f5f05, #e9b949);
  --code: light-dark(#f1f0ea, #23272f); --night: light-dark(#1d2128, #0f1115); --on-night: #dfe4ec;
  --green: light-dark(#15703a, #58d68d); --blue: light-dark(#1a5fb4, #78b4ff); --red: light-dark(#b3261e, #ff8a80); --amber: light-dark(#8a5200, #ffb74d); }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1.5rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; display: grid; grid-template-columns: 17.5rem minmax(0, 1fr); background: var(--ground); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
code, pre, .method, .status, .type { font-family: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .875em; }
p code, li code, td > code { background: var(--code); border-radius: .3em; padding: .1em .35em; }
a { color: inherit; text-decoration-color: var(--gold); text-underline-offset: .2em; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--gold); outline-offset: 3px; border-radius: .3em; }
.skip { position: absolute; left: -99em; } .skip:focus { left: 1rem; top: 1rem; background: var(--panel); padding: .5rem 1rem; z-index: 2; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1.25rem 3rem; border-right: 1px solid var(--line); background: var(--panel); font-size: .86rem; }
nav .brand { display: flex; align-items: center; gap: .65rem; color: var(--gold); text-decoration: none; font-size: 1.1rem; font-weight: 650; letter-spacing: -.01em; }
nav .brand span { color: var(--ink); }
nav h2 { margin: 1.5rem 0 .35rem; font-size: .7rem; text-transform: uppercase; letter-spacing: .09em; color: var(--soft); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: .55rem; align-items: baseline; padding: .22rem .4rem; margin: 0 -.4rem; border-radius: .4rem; text-decoration: none; }
nav li a:hover { background: var(--code); }
nav li a span:last-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
main { padding: 3.25rem clamp(1.25rem, 4vw, 4rem) 6rem; max-width: 82rem; }
h1 { font-size: 2.5rem; line-height: 1.15; letter-spacing: -.03em; margin: 0 0 .5rem; }
.lead { font-size: 1.15rem; color: var(--soft); max-width: 44rem; margin: 0 0 1.25rem; }
.label { font-size: .7rem; text-transform: uppercase; letter-spacing: .09em; color: var(--soft); margin-right: .35rem; }
.note { color: var(--soft); max-width: 50rem; }
.steps { counter-reset: step; list-style: none; padding: 0; margin: 2rem 0; display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
.steps li { counter-increment: step; background: var(--panel); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem 1.1rem; font-size: .92rem; }
.steps li::before { content: counter(step); display: block; color: var(--gold); font-weight: 700; font-size: .8rem; margin-bottom: .2rem; }
.steps b { display: block; }
.group { margin-top: 4rem; } .group > h2 { font-size: 1.55rem; letter-spacing: -.02em; margin: 0; }
.group > p { color: var(--soft); margin: .25rem 0 1.5rem; max-width: 50rem; }
article { background: var(--panel); border: 1px solid var(--line); border-radius: 1rem; margin: 0 0 1.5rem; overflow: hidden; }
article:target { border-color: var(--gold); }
h3 { margin: 0; padding: .85rem 1.4rem; border-bottom: 1px solid var(--line); font-size: 1.02rem; display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; }
h3 a { text-decoration: none; display: flex; align-items: center; gap: .75rem; } h3 code { font-size: 1rem; overflow-wrap: anywhere; }
.auth { margin-left: auto; font-size: .75rem; font-weight: 500; color: var(--soft); border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .7rem; }
.columns { display: grid; grid-template-columns: minmax(0, 1.15fr) minmax(0, 1fr); }
.columns > div { padding: 1.1rem 1.4rem 1.4rem; } .samples { background: var(--night); color: var(--on-night); }
.columns p { margin: 0 0 .8rem; max-width: 42rem; } .columns p.summary { font-weight: 650; font-size: 1.08rem; margin-bottom: .35rem; }
h4 { margin: 1.4rem 0 .3rem; font-size: .7rem; text-transform: uppercase; letter-spacing: .09em; color: var(--soft); } h4 small { text-transform: none; letter-spacing: 0; font-weight: 400; }
figure { margin: 0 0 1.2rem; } figcaption { font-size: .7rem; text-transform: uppercase; letter-spacing: .09em; color: #8d97a8; margin-bottom: .35rem; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .84rem; line-height: 1.55; }
table { width: 100%; border-collapse: collapse; font-size: .89rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem 1rem .45rem 0; border-top: 1px solid var(--line); font-weight: 400; } td:last-child { padding-right: 0; }
tr:first-child > * { border-top: 0; } .fields th { width: 40%; overflow-wrap: anywhere; } .replies > tbody > tr > th { width: 3.6rem; }
.type { font-size: .8rem; color: var(--soft); } .required { display: block; color: var(--gold); font-size: .7rem; line-height: 1.2; }
.method { font-size: .66rem; font-weight: 700; letter-spacing: .03em; color: var(--green); min-width: 3.1rem; } .method.post { color: var(--blue); } .method.delete { color: var(--red); }
h3 .method { font-size: .75rem; border: 1px solid currentColor; border-radius: .4rem; padding: .1rem .45rem; min-width: 0; }
.status { font-size: .8rem; font-weight: 700; color: var(--red); } .s2, .s3 { color: var(--green); } .s4 { color: var(--amber); } .samples .status { color: #58d68d; }
.code { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .78rem; display: inline-block; background: var(--code); border-radius: .35rem; padding: .08rem .45rem; margin: 0 .15rem .25rem 0; text-decoration: none; }
.code:hover { text-decoration: underline; text-decoration-color: var(--gold); }
details { margin-top: .2rem; } summary { cursor: pointer; color: var(--soft); font-size: .82rem; }
.problems { background: var(--panel); border: 1px solid var(--line); border-radius: 1rem; border-spacing: 0; border-collapse: separate; overflow: hidden; }
.problems th { padding-left: 1.4rem; width: 5.5rem; } .problems code { overflow-wrap: anywhere; } .problems tr:target > * { background: color-mix(in srgb, var(--gold) 16%, transparent); }
@media (max-width: 64rem) { .columns { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 48rem) { body { display: block; } nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); } main { padding-top: 2rem; } .auth { margin-left: 0; } }
@media print { nav { display: none; } body { display: block; } article { break-inside: avoid; } .samples { background: none; color: inherit; } }
`
