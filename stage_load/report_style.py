"""The style sheet of ``report.html``, which loads nothing from anywhere."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dde2e9;
  --paper: #fff; --band: #f6f8fa; --good: #1a7f4b; --bad: #b3261e; --open: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #333b46;
  --paper: #14181d; --band: #1b2027; --good: #5fcf95; --bad: #ff8a80; --open: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 4rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; }
.soft { color: var(--soft); }
.verdict { display: inline-block; padding: .1rem .7rem; border-radius: 1rem; color: var(--paper);
  font-weight: 600; vertical-align: middle; }
.proven, .agrees { --tone: var(--good); } .failed, .differs { --tone: var(--bad); }
.unproven { --tone: var(--open); }
.verdict { background: var(--tone); } td.agrees, td.differs { color: var(--tone); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.card { border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .9rem;
  min-width: 9rem; }
.card b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { padding: .32rem .7rem; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th { background: var(--band); color: var(--soft); font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.text { white-space: normal; }
code { font: .86em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.bar { display: inline-block; width: 7rem; height: .5rem; border-radius: .25rem;
  background: var(--band); vertical-align: middle; }
.bar i { display: block; height: 100%; border-radius: inherit; background: var(--tone); }
tr.first td { background: color-mix(in srgb, var(--bad) 14%, transparent); }
""".strip()
