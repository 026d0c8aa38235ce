"""The style and the script of the HTML page: readable in the dark and on paper, and without it."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d0d7de;
  --soft: #f3f5f7; --mark: #0b5cad; --faint: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171b; --line: #3a424c;
  --soft: #1f242a; --mark: #7db8ff; --faint: #a3adb8; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2 { margin: 0; font-size: 1rem; font-weight: 600; color: var(--faint); }
h2 { margin: 2rem 0 .5rem; border-top: 1px solid var(--line); padding-top: .75rem; }
.verdict { margin: .25rem 0 1.5rem; max-width: 45rem; font-size: 1.35rem; line-height: 1.35;
  overflow-wrap: anywhere; }
figure { margin: 0 0 1.5rem; padding: .5rem; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; text-align: center; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #57606a; font-size: .85rem; }
details { margin: 0 0 1rem; }
summary { cursor: pointer; padding: .3rem 0; font-weight: 600; }
.scroll { overflow: auto; max-height: 40rem; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; min-width: 100%; font-size: .875rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--soft); white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; max-width: 24rem; }
tbody tr:last-child > * { border-bottom: 0; }
th.number, .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.skipped { color: var(--faint); font-style: italic; }
td { overflow-wrap: anywhere; }
.short { white-space: nowrap; }
.long { min-width: 18rem; max-width: 30rem; }
.legend { color: var(--faint); font-size: .875rem; max-width: 45rem; }
thead button { all: unset; cursor: pointer; }
thead button:focus-visible, summary:focus-visible, .scroll:focus-visible {
  outline: 2px solid var(--mark); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
@media print { :root { --ink: #000; --paper: #fff; --soft: #eee; --faint: #333; --line: #999; }
  body { max-width: none; padding: 0; font-size: 9pt; }
  .scroll { overflow: visible; max-height: none; border: 0; }
  thead th { position: static; } tr, figure { break-inside: avoid; } }
"""

# headings become buttons here: without the script there is nothing to press, and all is readable
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const order = new Intl.Collator("en", { numeric: true });
  const compare = (x, y) => x === y ? 0
    : isNaN(x) || isNaN(y) || x === "" || y === "" ? order.compare(x, y) : x - y;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down < 0 ? "descending" : "ascending");
      const key = row => row.cells[column].dataset.key.replace("inf", "Infinity");
      body.append(...[...body.rows].sort((x, y) => down * compare(key(x), key(y))));
    });
  });
}
"""
