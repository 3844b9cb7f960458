"""The pictures of a report: {name: (caption, PNG)}. Needs matplotlib; draws without a display."""

import io
from importlib.util import find_spec
from pathlib import Path

from convfast.bench import ratios

COLOURS = {
    "convfast": "#d62728", "torch": "#ee8a2c", "onnxruntime": "#1f77b4", "openvino": "#7b52ab", "jax": "#2a9d8f",
    "ncnn": "#8c564b", "opencv": "#4c9f38", "opencv.dnn": "#93c47d", "scipy.signal": "#e377c2",
    "scipy.ndimage": "#f4b6d8", "numpy": "#555555", "c": "#999999", "python": "#c7c7c7",
}  # fmt: skip
OTHER = "#bbbb55"  # a library that is not in the table
BARS_A_PICTURE = 12  # layers; more would be unreadable
DPI = 110


def available():
    return find_spec("matplotlib") is not None


def figure(width, height):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    return drawn, axes


def png(drawn):
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png")
    return buffer.getvalue()


def colour(library):
    return COLOURS.get(library, OTHER)


def best_rows(report, threads=None):
    """{layer: {library: its fastest row}}."""
    found = {}
    for layer, rows in ratios.by_layer(ratios.valid(report, threads)).items():
        found[layer] = {}
        for row in rows:
            if row["precision"] != "medium":
                best = found[layer].get(row["library"], row)
                found[layer][row["library"]] = row if row["median_s"] <= best["median_s"] else best
    return found


def libraries_in(best):
    """In the order of the table of colours."""
    present = {library for rows in best.values() for library in rows}
    return [name for name in COLOURS if name in present] + sorted(present - COLOURS.keys())


def roofline(report):
    """Work a second over work a byte: the roof is what this machine allows."""
    best = best_rows(report)
    points = [row for rows in best.values() for row in rows.values() if row["flops"] and row["library"] != "python"]
    if not points:
        return None
    drawn, axes = figure(10, 6.4)
    intensity = [row["flops"] / row["bytes"] for row in points]
    low, high = min(intensity) / 2, max(intensity) * 2
    peak = max(report["limits"]["fma_gflops"].values())
    bands = report["limits"]["bandwidth_gbps"]
    for size, gbps in (min(bands), max(bands)):
        name = f"{size >> 10} KiB" if size < 1 << 20 else f"{size >> 20} MiB"
        xs = [low, max(min(peak / gbps, high), low), high]
        axes.plot(xs, [min(x * gbps, peak) for x in xs], color="black", linewidth=1.2, zorder=1)
        axes.annotate(
            f"{name}: {gbps:.0f} GB/s", (low, low * gbps), xytext=(6, -8), textcoords="offset points", fontsize=8
        )
    axes.annotate(
        f"multiply-add peak {peak:.0f} GFLOPS", (high, peak), xytext=(-4, 4), textcoords="offset points", ha="right",
        fontsize=8,
    )  # fmt: skip
    for library in reversed(libraries_in(best)):
        rows = [row for row in points if row["library"] == library]
        if not rows:
            continue
        own = library == ratios.OWN
        axes.scatter(
            [row["flops"] / row["bytes"] for row in rows], [row["gflops"] for row in rows], s=42 if own else 18,
            color=colour(library), label=library, edgecolors="white", linewidths=0.5, zorder=3 if own else 2,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(low, high), xlabel="FLOP a byte of input, filters and output")
    axes.set_ylabel("GFLOPS")
    axes.set_title("Roofline: every layer, the best row of every library", loc="left")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return drawn


def bars(report):
    """Speed of every library relative to the best of the others: one picture for every dozen of layers."""
    best = {layer: rows for layer, rows in best_rows(report).items() if len(rows) > 1 and ratios.OWN in rows}
    layers = sorted(best, key=lambda layer: (ratios.group(best[layer][ratios.OWN]), -best[layer][ratios.OWN]["flops"]))
    for begin in range(0, len(layers), BARS_A_PICTURE):
        some = layers[begin : begin + BARS_A_PICTURE]
        names = libraries_in({layer: best[layer] for layer in some})
        drawn, axes = figure(10, 1.2 + 0.095 * sum(len(best[layer]) + 1.5 for layer in some))
        y, ticks, legend = 0.0, [], {}
        for layer in some:
            reference = min(row["median_s"] for name, row in best[layer].items() if name != ratios.OWN)
            ticks.append(y + (len(best[layer]) - 1) / 2)
            for name in names:
                if name in best[layer]:
                    speed = reference / best[layer][name]["median_s"]
                    legend[name] = axes.barh(y, speed, height=0.92, color=colour(name))
                    y += 1
            y += 1.5
        axes.axvline(1, color="black", linewidth=1)
        axes.set(ylim=(y - 1, -1.2), xscale="log", xlim=(0.01, None))
        axes.set_yticks(ticks, some, fontsize=8)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.set_xlabel("speed, 1 = the best of the other libraries (bars below 0.01 are cut)")
        axes.grid(False, axis="y")
        axes.set_title("Layer by layer, the best row of every library", loc="left")
        axes.legend(legend.values(), legend.keys(), fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        yield drawn


def overview(report):
    """One bar for every layer: convfast against the best of the others, losses first."""
    fights = sorted(ratios.duels(report, "highest"), key=lambda fight: fight["ratio"])
    if not fights:
        return None
    drawn, axes = figure(10, 1.4 + 0.2 * len(fights))
    axes.barh(
        range(len(fights)), [fight["ratio"] - 1 for fight in fights], left=1, height=0.8,
        color=[colour(ratios.OWN) if fight["ratio"] >= 1 else "#999999" for fight in fights],
    )  # fmt: skip
    for i, fight in enumerate(fights):
        text = f" {fight['ratio']:.2f}  ({fight['peer']['row']})"
        axes.text(max(fight["ratio"], 1), i, text, va="center", fontsize=7)
    low, high = fights[0]["ratio"], fights[-1]["ratio"]
    axes.set(xscale="log", ylim=(len(fights) - 0.4, -0.6), xlim=(min(low, 1) / 1.2, max(high, 1) * 2.5))
    axes.set_yticks(range(len(fights)), [fight["layer"] for fight in fights], fontsize=8)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:g}"[0] in "25" else "")
    axes.axvline(1, color="black", linewidth=1)
    axes.grid(False, axis="y")
    axes.set_xlabel("time of the best other library (in brackets) / time of convfast; grey: lost")
    axes.set_title('convfast "highest" against the best that computes directly', loc="left")
    return drawn


def scaling(title, xlabel, points, ylabel="GFLOPS"):
    """Lines of one quantity: `points` are (library, x, y)."""
    lines = {}
    for library, x, y in points:
        lines.setdefault(library, []).append((x, y))
    lines = {library: sorted(line) for library, line in lines.items() if len(line) > 1}
    if not lines:
        return None
    drawn, axes = figure(8, 4.6)
    for library in libraries_in({"": lines}):
        own = library == ratios.OWN
        axes.plot(
            *zip(*lines[library], strict=True), color=colour(library), label=library, marker="o",
            markersize=5 if own else 3, linewidth=2.2 if own else 1.2, zorder=3 if own else 2,
        )  # fmt: skip
    xs = sorted({x for line in lines.values() for x, _ in line})
    axes.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axes.set_xticks(xs, [f"{x:g}" for x in xs])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return drawn


def by_shape(report, prefix, title, xlabel, letter):
    """GFLOPS of the best row of every library over one letter of the shape."""
    best = {layer: rows for layer, rows in best_rows(report).items() if layer.startswith(prefix)}
    points = [(library, row["shape"][letter], row["gflops"]) for rows in best.values() for library, row in rows.items()]
    return scaling(title, xlabel, points)


def by_threads(report):
    """(layer, picture): how much faster than itself on one thread."""
    counts = sorted({row["threads"] for row in report["rows"]})
    best = {n: best_rows(report, n) for n in counts}
    for layer in best[counts[0]] if len(counts) > 1 and counts[0] == 1 else ():
        points = [
            (library, n, best[1][layer][library]["median_s"] / row["median_s"])
            for n in counts
            for library, row in best[n].get(layer, {}).items()
            if library in best[1][layer]
        ]
        title = f"{layer}: best row of every library"
        drawn = scaling(title, "threads", points, "times as fast as on one thread")
        if drawn:
            drawn.axes[0].plot(counts, counts, color="black", linewidth=0.8, linestyle=":", zorder=1)
            yield layer, drawn


def draw(report):
    """Every picture this report has numbers for."""
    found = {
        "overview": ("convfast against the best of the others", overview(report)),
        "roofline": ("How near to the limit of the machine", roofline(report)),
        "sizes": (
            "Scaling with the size of the plane",
            by_shape(report, "size_", "3x3, 64 to 64 channels, one image", "height and width", "H"),
        ),
        "batches": (
            "Scaling with the batch",
            by_shape(report, "batch_", "3x3, 64 to 64 channels, 28x28", "images", "N"),
        ),
    }
    for i, drawn in enumerate(bars(report)):
        found[f"bars_{i + 1}"] = ("Every library, layer by layer", drawn)
    for layer, drawn in by_threads(report):
        found[f"threads_{layer}"] = (f"Scaling with threads: {layer}", drawn)
    return {name: (caption, png(drawn)) for name, (caption, drawn) in found.items() if drawn}


def write(drawn, folder):
    """Every picture of `draw` as a file of its name."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, (_, image) in drawn.items():
        Path(folder, f"{name}.png").write_bytes(image)
