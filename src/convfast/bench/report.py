"""The report as tables: for the terminal, as Markdown, as CSV. Every table is a title, a head and rows of words."""

import csv

from convfast.bench import ratios

RESULTS_HEAD = """# Results

Written by `{command}`; never by hand. Times are medians of calls that take and give NumPy arrays; ratios above 1
mean that convfast is faster. How it is kept fair: `src/convfast/bench/measure.py`.
"""

COLUMNS = (
    "layer", "threads", "library", "row", "layout", "weights", "precision", "winograd", "status", "reason", "flops",
    "bytes", "median_s", "q1_s", "q3_s", "samples", "first_s", "setup_s", "flushed_s", "error", "gflops", "gbps",
    "peak_gflops", "bandwidth_gbps", "limit_s", "share",
)  # fmt: skip


def time_text(seconds):
    if seconds is None:
        return ""
    for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size or unit == "us":
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def machine_table(report):
    machine, settings = report["machine"], report["settings"]
    rows = [(name, str(value)) for name, value in machine.items() if value and name != "caches"]
    rows += [("caches", ", ".join(f"{name} {size}" for name, size in machine["caches"].items()))]
    rows += [("threads", f"{settings['threads']}, all libraries on the CPUs {settings['cpus'] or 'of the system'}")]
    rows = list(dict(rows).items())
    for isa, gflops in report["limits"]["fma_gflops"].items():
        rows.append((f"peak, {isa}", f"{gflops:.0f} GFLOPS of float32 multiply-adds"))
    for size, gbps in report["limits"]["bandwidth_gbps"]:
        rows.append((f"bandwidth, {size >> 10:,} KiB", f"{gbps:.0f} GB/s"))
    amx = report["limits"]["amx_gflops"]
    rows.append(("peak, AMX", f"{amx:.0f} GFLOPS of bfloat16" if amx else "not measured"))
    rows += [("drift", report["drift"]["sentence"]), ("load", report["load"]["sentence"])]
    rows += [("took", time_text(report["elapsed_s"]))]
    return "Machine", ("what", "value"), rows


def libraries_table(report):
    first = {}
    for row in report["rows"]:
        if row.get("first_s") is not None:
            first.setdefault(row["library"], row["setup_s"] + row["first_s"])
    rows = [
        (name, library.get("version", ""), time_text(library.get("start_s")), time_text(first.get(name)),
         library["status"] if library["status"] != "ok" else library.get("remark", ""))
        for name, library in report["libraries"].items()
    ]  # fmt: skip
    return "Libraries", ("library", "version", "import", "first call after it", "remark"), rows


def layer_tables(report):
    """One table for every layer (and number of threads), the fastest row first."""
    groups = {}
    for row in report["rows"]:
        groups.setdefault((row["layer"], row["threads"]), []).append(row)
    for (layer, threads), rows in groups.items():
        good = sorted((row for row in rows if row["status"] == "ok"), key=lambda row: row["median_s"])
        others = [row for row in rows if row["status"] not in ("ok", "unsupported")]
        best = good[0]["median_s"] if good else 1
        body = [
            (row["row"], time_text(row["median_s"]), f"{time_text(row['q1_s'])} .. {time_text(row['q3_s'])}",
             f"{row['median_s'] / best:.2f}", f"{row['gflops']:.4g}", percent(row["share"]), f"{row['error']:.0e}",
             time_text(row.get("flushed_s")), time_text(row["setup_s"] + row["first_s"]), str(row["samples"]))
            for row in good
        ]  # fmt: skip
        body += [(row["row"], row["status"].upper(), row["reason"], *[""] * 7) for row in others]
        first = rows[0]
        title = f"{layer}: {first['flops'] / 1e6:,.4g} MFLOP, {first['bytes'] / 1e6:,.3g} MB, {threads} threads"
        if good:
            title += f", limit {time_text(good[0]['limit_s'])}"
        head = ("row", "median", "quartiles", "x best", "GFLOPS", "of limit", "error", "cold caches", "first", "calls")
        yield title, head, body


def summary_tables(report):
    """Ratios: by class of layers, layer by layer, against each row, and whole networks."""
    found = [
        (ratios.COMPARISONS[s["comparison"]][2], s["group"], str(s["layers"]), f"{s['ratio']:.2f}", percent(s["won"]))
        for s in ratios.summary(report)
    ]
    yield "Ratios (geometric means; above 1 convfast wins)", ("comparison", "layers", "count", "ratio", "won"), found
    fights = ratios.duels(report, "highest")
    head = ("layer", "convfast's best", "time", "of limit", "best of the others", "time", "ratio", "")
    body = [
        (f["layer"], f["own"]["row"], time_text(f["own"]["median_s"]), percent(f["own"]["share"]), f["peer"]["row"],
         time_text(f["peer"]["median_s"]), f"{f['ratio']:.2f}", "LOST" if f["ratio"] < 1 else "")
        for f in sorted(fights, key=lambda f: f["ratio"])
    ]  # fmt: skip
    yield f'Layer by layer, "highest" against direct computation: losses first ({len(fights)})', head, body
    each = [
        (e["row"], str(e["layers"]), f"{e['ratio']:.2f}", percent(e["won"]))
        for e in sorted(ratios.against_each(report), key=lambda e: e["ratio"])
    ]
    yield "Time of each row over that of convfast's best", ("row", "layers", "ratio", "convfast wins"), each
    for suite in ("resnet50", "vgg16", "mobilenet"):
        totals = sorted(ratios.network(report, suite).items(), key=lambda item: item[1])
        if totals:
            body = [(name, time_text(seconds)) for name, seconds in totals]
            yield f"{suite}: all convolutions of one image, best row of each library", ("library", "time"), body


def compare_tables(comparison):
    body = [
        (ratios.COMPARISONS[name][2], f"{100 * (mean - 1):+.1f} %")
        for name, mean in comparison["means"].items()
        if mean is not None
    ]
    yield "Change of the ratios since the old report (geometric means)", ("comparison", "change"), body
    changes = sorted(comparison["changes"], key=lambda c: c["change"])
    body = [
        (c["comparison"], c["layer"], f"{c['old']:.2f}", f"{c['new']:.2f}", f"{100 * (c['change'] - 1):+.1f} %")
        for c in changes
    ]
    yield "Layer by layer, falls first", ("comparison", "layer", "old", "new", "change"), body
    if comparison["remarks"]:
        yield "Not the same", ("what",), [(remark,) for remark in comparison["remarks"]]


def all_tables(report):
    yield machine_table(report)
    yield libraries_table(report)
    yield from summary_tables(report)
    yield from layer_tables(report)


def plain(table):
    """A table as lines of text."""
    title, head, rows = table
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["", title, "  ".join(word.ljust(width) for word, width in zip(head, widths, strict=True)).rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    lines += ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def markdown(report, command):
    parts = [RESULTS_HEAD.format(command=command)]
    parts += [f"**{warning}**\n" for warning in report["warnings"]]
    for title, head, rows in all_tables(report):
        lines = [f"## {title}\n", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(word.replace("|", "/") for word in row) + " |" for row in rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def write_csv(report, path):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(report["rows"])
