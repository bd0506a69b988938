# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""How the page looks, on a screen and on paper; signs, borders and patterns say what colours say."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#16181d;--dim:#565c66;--page:#fff;--line:#d3d7de;--soft:#f3f5f8;--bad:#a3190f;--warn:#7a4d00;--good:#0f6b2f;--bar:#3b5b8c}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaee;--dim:#a7aeba;--page:#15171b;--line:#3c424d;--soft:#20242b;--bad:#ff8a80;--warn:#ffc65c;--good:#7fdc9b;--bar:#8fb2ea}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0}
main{max-width:64rem;margin:0 auto;padding:2rem 1.25rem 4rem}
header p{margin:.2rem 0;color:var(--dim)}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.6rem 0 .5rem;padding-bottom:.2rem;border-bottom:2px solid var(--ink)}
h3{font-size:1rem;margin:1.3rem 0 .3rem}
p{margin:.4rem 0}.lead,.note{color:var(--dim)}.note{font-size:.9rem}
code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.88em;overflow-wrap:anywhere}
.verdict{border:2px solid var(--ink);border-left-width:.8rem;border-radius:.4rem;padding:.8rem 1.1rem 1rem;margin:1.4rem 0}
.verdict.good{border-color:var(--good)}.verdict.warn{border-color:var(--warn)}.verdict.bad{border-color:var(--bad)}
.verdict h2{border:0;margin:0;padding:0;font-size:1.45rem}
.verdict.good h2{color:var(--good)}.verdict.warn h2{color:var(--warn)}.verdict.bad h2{color:var(--bad)}
.verdict ul{margin:.3rem 0;padding-left:1.2rem}
dl.facts{margin:.6rem 0 0;display:grid;gap:0}
dl.facts div{display:grid;grid-template-columns:11rem 1fr;gap:1rem;padding:.28rem 0;border-bottom:1px solid var(--line)}
dl.facts div:last-child{border-bottom:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
th,td{text-align:left;vertical-align:top;padding:.4rem .7rem .4rem 0;border-bottom:1px solid var(--line);overflow-wrap:break-word}
thead th{color:var(--dim);font-weight:600;border-bottom:1.5px solid var(--ink);white-space:nowrap}
tbody th{font-weight:600}
.steps tbody th{font-weight:400;white-space:nowrap}.steps td:nth-child(3){white-space:nowrap}
tr.part th,.steps tr.part th{font-weight:700;background:var(--soft);padding-left:.5rem}
td small,th small,dd small{display:block;color:var(--dim);font-weight:400;font-size:.85rem}
.badge{display:inline-block;font-weight:700;white-space:nowrap}
.badge.good{color:var(--good)}.badge.warn{color:var(--warn)}.badge.bad{color:var(--bad)}
.entry{color:var(--dim);font-weight:400;font-size:.85em;font-variant-numeric:tabular-nums}
.disclosed{border:1px dashed var(--ink);border-radius:.25rem;padding:.1rem .4rem;display:inline-block;margin:.15rem 0}
.disclosed b{font-size:.75rem;letter-spacing:.04em}
figure{margin:.6rem 0}figure svg{display:block;width:100%;height:auto}figcaption{color:var(--dim);font-size:.9rem;margin-top:.4rem}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .dim{fill:var(--dim)}svg .name{font-weight:600}
svg .in{fill:var(--page);font-size:11px}
svg .bar{fill:var(--bar);stroke:var(--bar)}svg .read{fill:var(--page);stroke:var(--bar);stroke-width:1.3}
svg .change{fill:var(--ink);stroke:var(--ink)}svg .unsure{fill:var(--page);stroke:var(--ink);stroke-width:1.3;stroke-dasharray:3 2}
svg .fail{fill:var(--bad);stroke:var(--bad)}svg .wait{fill:url(#hatch);stroke:var(--ink);stroke-width:1}
svg .quiet{fill:url(#dots);stroke:none}svg .rule{stroke:var(--line);stroke-width:1}svg .tick{stroke:var(--dim);stroke-width:1;stroke-dasharray:1 3}
svg .hatching{stroke:var(--ink);stroke-width:1.2}svg .dot{fill:var(--dim)}
svg .ok{fill:var(--good);stroke:var(--good)}svg .no{fill:var(--bad);stroke:var(--bad)}svg .ask{fill:var(--page);stroke:var(--ink);stroke-width:1.5}
@media (max-width:40rem){dl.facts div{grid-template-columns:1fr;gap:0}}
@page{size:A4;margin:15mm 14mm 17mm;@bottom-right{content:counter(page) " / " counter(pages);font:9pt system-ui,sans-serif;color:#555}}
@media print{
:root{color-scheme:light;--ink:#000;--dim:#444;--page:#fff;--line:#bbb;--soft:#f0f0f0;--bad:#8c1208;--warn:#5e3b00;--good:#0a5424;--bar:#2f4a75}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
html{font-size:9.5pt}body{font-size:1rem;line-height:1.4}main{max-width:none;padding:0}
h1{font-size:16pt}h2{font-size:12pt;margin:1.5rem 0 .4rem;break-after:avoid}h3{break-after:avoid}
.verdict{margin:.8rem 0}.verdict h2{font-size:13.5pt}
.verdict,figure,tr,dl.facts div,li{break-inside:avoid}thead{display:table-header-group;break-after:avoid}tbody tr:first-child{break-before:avoid}.lead{break-after:avoid}
table{font-size:8.7pt}th,td{padding:.22rem .45rem .22rem 0}.scroll{overflow:visible}
dl.facts div{grid-template-columns:8.5rem 1fr;padding:.15rem 0}
}
""".strip()
