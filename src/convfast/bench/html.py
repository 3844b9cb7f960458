"""The report as one HTML file that opens without a network: pictures and every number are inside."""

import base64
import json
from html import escape

from convfast.bench.report import layer_tables, libraries_table, machine_table, summary_tables

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222; }
h1 { margin-bottom: 0; } h2 { margin-top: 2em; }
table { border-collapse: collapse; font-size: 13px; margin: .5em 0 1.5em; }
th { text-align: left; border-bottom: 2px solid #888; } td, th { padding: 2px 10px 2px 0; vertical-align: top; }
td { border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums; }
tr.own td { font-weight: 600; } tr.bad td { color: #b00020; }
img { max-width: 100%; } figure { margin: 1em 0 2em; } figcaption { color: #555; }
.warning { background: #fff3cd; padding: .5em 1em; border-left: 4px solid #e0a800; }
code { background: #f4f4f4; padding: 1px 4px; } details { margin: .3em 0; } summary { cursor: pointer; }
"""

INTRODUCTION = """
<p>Made by <code>{command}</code>. Every library ran in a process of its own, on the same CPUs with the same number of
threads, in float32, in turns; every answer was compared with float64 before the clock started. Times are medians of
calls that take and give NumPy arrays. Ratios above 1 mean that convfast is faster. "packed" rows were given the
weights before the clock started, "raw" rows at every call. The limit of a layer is the larger of its arithmetic at
the multiply-add peak and its compulsory memory traffic at the bandwidth of a working set of its size, both measured
beside it; whoever saves multiplications (Winograd) may exceed it. Errors are the largest of a result, in units of
abs(x) conv abs(w).</p>
"""


def table_html(table, heading="h2"):
    title, head, rows = table
    lines = [f"<{heading}>{escape(title)}</{heading}>" if heading else "", "<table><tr>"]
    lines += [f"<th>{escape(word)}</th>" for word in head]
    lines.append("</tr>")
    for row in rows:
        bad = any(word in ("LOST", "WRONG", "FAILED") for word in row)
        kind = "bad" if bad else "own" if row[0].startswith("convfast") else ""
        lines.append(f'<tr class="{kind}">' + "".join(f"<td>{escape(word)}</td>" for word in row) + "</tr>")
    return "".join(lines) + "</table>\n"


def page(report, pictures):
    """`pictures` as pictures.draw gives them; without any the tables remain."""
    machine = report["machine"]
    subtitle = f"{machine['cpu']}, {report['settings']['threads']} threads, {machine['date']}"
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>convfast benchmark</title>",
        f"<style>{STYLE}</style><h1>convfast {escape(machine['convfast'])}: benchmark</h1><p>{escape(subtitle)}</p>",
        *(f'<p class="warning">{escape(warning)}</p>' for warning in report["warnings"]),
        INTRODUCTION.format(command=escape(report.get("command", ""))),
    ]
    summaries = [table_html(table) for table in summary_tables(report)]
    parts.append(summaries[0])
    for caption, png in pictures.values():
        data = base64.b64encode(png).decode()
        parts.append(
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>\n"
        )
    parts += summaries[1:]
    parts += [table_html(machine_table(report)), table_html(libraries_table(report)), "<h2>Every layer</h2>"]
    for title, head, rows in layer_tables(report):
        parts.append(f"<details><summary>{escape(title)}</summary>{table_html((title, head, rows), None)}</details>\n")
    numbers = json.dumps(report).replace("</", "<\\/")
    parts.append(
        '<h2>Every number</h2><p>The whole report as JSON is in this page, in the element with the id "report".</p>'
    )
    parts.append(f'<script type="application/json" id="report">{numbers}</script></html>\n')
    return "".join(parts)
