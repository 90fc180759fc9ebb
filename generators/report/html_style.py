"""The style of the report's page: wide and narrow screens, dark mode, and paper."""

STYLE = """
:root { color-scheme:light dark; --paper:#fff; --ink:#1c2430; --soft:#5b6675; --line:#d9dee5; --wash:#f5f7f9;
  --pass:#1d7a46; --fail:#a11d33; --open:#8a6100; --real:#1f5f8b; --synthetic:#d9731a }
@media screen and (prefers-color-scheme:dark) {
  :root { --paper:#14181d; --ink:#e4e8ed; --soft:#9aa6b4; --line:#333c47; --wash:#1d232a;
    --pass:#5cc98b; --fail:#ff8095; --open:#e3b341; --real:#6cb2e6; --synthetic:#f0a050 }
}
* { box-sizing:border-box }
body { margin:0; color:var(--ink); background:var(--paper); font:15px/1.5 system-ui,sans-serif }
main { max-width:1080px; margin:0 auto; padding:24px 20px 80px }
h1 { font-size:24px; margin:0 0 2px }
h2 { font-size:19px; margin:36px 0 6px; padding-top:12px; border-top:1px solid var(--line) }
h3 { font-size:15px; margin:18px 0 4px }
p { margin:6px 0; max-width:80ch }
ul, ol { margin:6px 0; padding-left:20px; max-width:90ch }
code { font:12.5px/1.4 ui-monospace,monospace; overflow-wrap:anywhere }
.soft { color:var(--soft) }
.front { padding-bottom:12px }
.front p, .front ul, .front ol { max-width:none }
.decision { margin:14px 0; padding:16px 20px; border:3px solid; border-radius:8px }
.decision b.word { display:block; font-size:36px; line-height:1.15; margin-bottom:6px }
.decision ul, .decision ol, .decision p { color:var(--ink) }
.decision.no { color:var(--fail); background:color-mix(in srgb,var(--fail) 7%,var(--paper)) }
.decision.yes { color:var(--pass); background:color-mix(in srgb,var(--pass) 7%,var(--paper)) }
.decision.if { color:var(--open); background:color-mix(in srgb,var(--open) 9%,var(--paper)) }
.blocks { columns:2; column-gap:32px }
.blocks > section { border-top:1px solid var(--line); padding:6px 0 10px; break-inside:avoid }
.blocks h3 { margin:0 0 2px }
dl { display:grid; grid-template-columns:max-content 1fr; gap:2px 12px; margin:4px 0 }
dt { color:var(--soft) } dd { margin:0; overflow-wrap:anywhere }
.blank { display:block; min-height:1.5em; border-bottom:1px solid var(--soft) }
.signatures { display:grid; grid-template-columns:1fr 1fr; gap:0 32px; margin-top:10px; break-inside:avoid }
.signatures dl { grid-template-columns:5.5em 1fr; row-gap:8px }
.scroll { overflow-x:auto }
table { border-collapse:collapse; margin:8px 0 14px; font-size:13.5px }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:2px solid var(--line) }
th, td { padding:4px 16px 4px 0; vertical-align:top }
td { border-bottom:1px solid var(--line); overflow-wrap:break-word }
td:first-child { min-width:9em }
.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
.n .soft { white-space:nowrap }
.v { font-weight:700; white-space:nowrap }
.v.pass { color:var(--pass) }
.v.fail, .v.unproved { color:var(--fail) }
.v.unsettled, .v.condition { color:var(--open) }
.risk { display:grid; grid-template-columns:minmax(0,22em) minmax(8em,1fr) 12em 7.5em; gap:0 16px; align-items:center;
  padding:5px 0; border-bottom:1px solid var(--line); font-size:13.5px; break-inside:avoid }
.track { position:relative; height:14px; background:linear-gradient(var(--line),var(--line)) center/100% 1px no-repeat }
.track span { position:absolute }
.track .bar { top:5px; height:4px; min-width:2px; border-radius:2px; background:var(--real); opacity:.45 }
.track .dot { top:2px; width:10px; height:10px; margin-left:-5px; border-radius:50%; background:var(--real) }
.track .limit { top:-3px; bottom:-3px; width:0; border-left:2px dashed var(--fail) }
figure { margin:14px 0 }
figure svg { width:100%; height:auto; max-height:900px }
figcaption { color:var(--soft); font-size:13px }
details { border-top:1px solid var(--line); padding:8px 0 }
summary { cursor:pointer; font-weight:600 }
summary .soft { font-weight:400; margin-left:6px }
.box { background:var(--wash); border-left:4px solid var(--open); padding:10px 14px; margin:12px 0 }
@media screen and (max-width:700px) {
  main { padding:14px 12px 60px }
  .decision { padding:14px }
  .decision b.word { font-size:28px }
  .blocks { columns:1 }
  .signatures { grid-template-columns:minmax(0,1fr) }
  .scroll { overflow-x:visible }
  figure { overflow-x:auto }
  figure svg { min-width:620px }
  .risk { grid-template-columns:minmax(0,1fr) max-content; gap:2px 12px; padding:8px 0 }
  .risk .v { grid-area:1/2; justify-self:end }
  .risk .track { grid-area:2/1; margin:0 5px }
  .risk .n { grid-area:2/2 }
  .stack, .stack tbody { display:block; width:100% }
  .stack thead { display:none }
  .stack tr { display:block; padding:8px 0; border-bottom:1px solid var(--line) }
  .stack td { display:block; border:0; padding:1px 0; text-align:left; white-space:normal }
  .stack td:first-child { font-weight:600 }
  .stack td:not(:first-child)::before { content:attr(data-label) ": "; color:var(--soft); font-weight:400 }
}
@page { size:A4; margin:13mm 14mm }
@media print {
  * { print-color-adjust:exact; -webkit-print-color-adjust:exact }
  body { font-size:9pt; line-height:1.32 }
  main { max-width:none; padding:0 }
  h1 { font-size:15pt } h2 { font-size:13pt; margin:14pt 0 4pt; break-after:avoid } h3 { font-size:9.6pt; break-after:avoid }
  .front { break-after:page; padding:0 }
  .front h1 + p { margin:0 }
  .decision { margin:6pt 0; padding:7pt 10pt; border-width:2pt }
  .decision b.word { font-size:21pt; margin-bottom:2pt }
  ul, ol, p { margin:2pt 0 }
  .blocks { column-gap:18pt; font-size:8pt } .blocks > section { padding:3pt 0 }
  code { font-size:7.2pt }
  .box { padding:4pt 8pt; margin:5pt 0 }
  td.n .soft { display:block }
  table { font-size:8pt } th, td { padding:2pt 9pt 2pt 0 }
  thead { display:table-header-group } tr { break-inside:avoid }
  .risk { font-size:8.2pt; padding:2pt 0; grid-template-columns:minmax(0,20em) 1fr 11em 7.5em; gap:0 10pt }
  details { border-top:0; padding:0 }
  details::details-content { content-visibility:visible; block-size:auto; opacity:1 }
  details > div { display:block }
  summary { list-style:none; font-size:11pt; margin-top:10pt; break-after:avoid }
  summary::-webkit-details-marker { display:none }
  figure { break-inside:avoid } figure svg { max-height:215mm }
}
"""
