"""The comparison as a page: one file that loads nothing, light or dark as the reader's system is."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from lab.before.attacks import Seen
from lab.compare.comparison import Cost, Row
from lab.compare.table import cost_sentences, milliseconds, sentence, summary

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Before and after</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.4 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8886 }
th[colspan] { padding-top: 1.5rem; font-size: 1.1rem }
td:nth-child(odd):not(:first-child) { white-space: nowrap }
.got { color: light-dark(#b00020, #ff8a80) }
.refused { color: light-dark(#1b6e20, #81c784) }
</style>
"""


def page(rows: Sequence[Row], before: Cost, after: Cost) -> str:
    """Return the page.  Pure."""
    parts = [_HEAD, "<h1>The same attacks, before and after</h1>", f"<p>{escape(summary(rows))}</p>", "<table>"]
    names = ("attack", "before", "ms", "after", "ms", "refused by")
    for principle, those in groupby(rows, lambda row: row.attack.principle):
        parts.append(f'<tr><th colspan="{len(names)}">{escape(sentence(principle))}')
        parts.append("<tr>" + "".join(f"<th>{name}" for name in names))
        parts += [
            f"<tr><td>{escape(row.attack.what)}{_seen(row.before)}{_seen(row.after)}<td>{escape(row.attack.check)}"
            for row in those
        ]
    parts.append("</table>")
    parts += [f'<p class="got">{escape(row.attack.what)}: {escape(wrong)}' for row in rows for wrong in row.wrong]
    parts += ["<h2>What it costs</h2>", *(f"<p>{escape(said)}" for said in cost_sentences(before, after))]
    return "\n".join(parts) + "\n</html>\n"


def _seen(seen: Seen) -> str:
    kind, verdict = ("got", "succeeded") if seen.succeeded else ("refused", "refused")
    return f'<td class="{kind}">{verdict}: {escape(seen.happened)}<td>{milliseconds(seen.seconds)}'
