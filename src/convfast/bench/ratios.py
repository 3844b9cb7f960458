"""What the numbers say: who is fastest on which layer, by how much, and what changed since another run.

A ratio is the time of the best other library over the time of convfast's best row: above 1 convfast wins. Ratios are
formed within one run only.
"""

from math import exp, log

from convfast.bench.layers import SUITES, TINY_FLOPS

OWN = "convfast"

# What a comparison admits: (rows of convfast, rows of the others, the words for both).
COMPARISONS = {
    "highest": (
        lambda row: row["precision"] == "highest",
        lambda row: not row["winograd"],
        'convfast "highest" against the best that computes directly',
    ),
    "high": (
        lambda row: row["precision"] != "medium",
        lambda row: True,
        'convfast "high" against the best of all, Winograd included',
    ),
    "raw": (
        lambda row: row["precision"] == "highest" and row["weights"] == "raw",
        lambda row: row["weights"] == "raw" and not row["winograd"],
        "weights given at every call, on both sides",
    ),
}


def geometric_mean(values):
    values = list(values)
    return exp(sum(map(log, values)) / len(values)) if values else None


def valid(report, threads=None):
    threads = report["settings"]["threads"] if threads is None else threads
    return [row for row in report["rows"] if row["status"] == "ok" and row["threads"] == threads]


def by_layer(rows):
    found = {}
    for row in rows:
        found.setdefault(row["layer"], []).append(row)
    return found


def fastest(rows):
    return min(rows, key=lambda row: row["median_s"], default=None)


def group(row):
    """The class of layers that a row's layer belongs to."""
    shape = row["shape"]
    if shape["table"] != "Conv":
        return {"Pool": "pooling", "Pad": "padding", "Gradient": f"{shape.get('of')} gradients"}[shape["table"]]
    if row["flops"] < TINY_FLOPS:
        return "tiny calls"
    if shape["C"] == shape["K"] == 1:
        return "planes"
    return "depthwise and grouped" if shape["groups"] > 1 else "dense"


def duels(report, comparison):
    """[{layer, group, own, peer, ratio}]: the fastest of both sides on every layer that has both."""
    admits_own, admits_peer, _ = COMPARISONS[comparison]
    found = []
    for layer, rows in by_layer(valid(report)).items():
        if comparison == "raw" and rows[0]["shape"]["table"] != "Conv":
            continue
        own = fastest([row for row in rows if row["library"] == OWN and admits_own(row)])
        peer = fastest([row for row in rows if row["library"] != OWN and admits_peer(row)])
        if own and peer:
            ratio = peer["median_s"] / own["median_s"]
            found.append({"layer": layer, "group": group(own), "own": own, "peer": peer, "ratio": ratio})
    return found


def summary(report):
    """[{comparison, group, layers, ratio, won}]: geometric means for every class of layers, and for all."""
    found = []
    for comparison in COMPARISONS:
        fights = duels(report, comparison)
        groups = list(dict.fromkeys(fight["group"] for fight in fights))
        for name in groups + ["all"] * (len(groups) > 1):
            ratios = [fight["ratio"] for fight in fights if name in ("all", fight["group"])]
            found.append({
                "comparison": comparison, "group": name, "layers": len(ratios), "ratio": geometric_mean(ratios),
                "won": sum(ratio > 1 for ratio in ratios) / len(ratios),
            })  # fmt: skip
    return found


def against_each(report):
    """[{row, layers, ratio, won}]: every row of every other library against convfast's best "highest" row."""
    layers = by_layer(valid(report))
    found = {}
    for rows in layers.values():
        own = fastest([row for row in rows if row["library"] == OWN and row["precision"] == "highest"])
        for row in rows:
            if own and row["library"] != OWN:
                found.setdefault(row["row"], []).append(row["median_s"] / own["median_s"])
    return [
        {"row": name, "layers": len(ratios), "ratio": geometric_mean(ratios),
         "won": sum(ratio > 1 for ratio in ratios) / len(ratios)}
        for name, ratios in found.items()
    ]  # fmt: skip


def network(report, suite):
    """{library: seconds} for a whole network, every layer as often as the network has it; libraries with all layers."""
    layers = by_layer(valid(report))
    totals = {}
    for layer in SUITES[suite]:
        best = {}
        for row in layers.get(layer.name, ()):
            best[row["library"]] = min(best.get(row["library"], row["median_s"]), row["median_s"])
        for library, seconds in best.items():
            totals.setdefault(library, []).append(seconds * layer.count)
    return {name: sum(times) for name, times in totals.items() if len(times) == len(SUITES[suite])}


def compare(old, new):
    """What changed between two reports: ratios, not times, because machines and their clocks change too."""
    changes = []
    for comparison in COMPARISONS:
        before = {fight["layer"]: fight for fight in duels(old, comparison)}
        for fight in duels(new, comparison):
            if fight["layer"] in before:
                was = before[fight["layer"]]["ratio"]
                changes.append({
                    "comparison": comparison, "layer": fight["layer"], "old": was, "new": fight["ratio"],
                    "change": fight["ratio"] / was,
                })  # fmt: skip
    means = {
        comparison: geometric_mean(c["change"] for c in changes if c["comparison"] == comparison)
        for comparison in COMPARISONS
    }
    remarks = [
        f"{name}: {old['machine'].get(name)} before, {new['machine'].get(name)} now"
        for name in ("cpu", "ISAs", "numpy", "compiler", "commit")
        if old["machine"].get(name) != new["machine"].get(name)
    ]
    for name, library in new["libraries"].items():
        before = old["libraries"].get(name, {}).get("version")
        if before != library.get("version"):
            remarks.append(f"{name}: {before} before, {library.get('version')} now")
    if old["settings"]["threads"] != new["settings"]["threads"]:
        remarks.append(f"threads: {old['settings']['threads']} before, {new['settings']['threads']} now")
    return {"changes": changes, "means": means, "remarks": remarks}
