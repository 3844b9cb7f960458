"""How the demo tells its results: a line for each job, and a sheet of pictures."""

import numpy as np

WAYS = ("convfast", "NumPy idiom", "C loops", "Python loops")
GAMMA = 0.75  # brightens faint edges and maps
PAPER, INK, QUIET, ACCENT = "#faf8f4", "#222222", "#77736b", "#c8442d"


def duration(seconds):
    for limit, unit, factor in ((1e-3, "us", 1e6), (1, "ms", 1e3), (120, "s", 1), (7200, "min", 1 / 60)):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def times(ratio):
    return f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.1f}x"


HEADING = f"{'':<9}{'':<33}" + "".join(f"{way:>{9 if way == 'convfast' else 18}}" for way in WAYS) + "   check"


def line(name, what, seconds, result=""):
    """One row of the table: the time of every way, and how many times that of convfast it is."""
    ours = seconds["convfast"]
    cells = [f"{duration(ours):>9}"]
    cells += [f"{duration(seconds[way]):>9} {times(seconds[way] / ours):>8}" for way in WAYS[1:]]
    return f"{name:<9}{what:<33}" + "".join(cells) + f"   {result}"


def total(done):
    return {way: sum(job.seconds[way] for job in done) for way in WAYS}


def mosaic(maps):
    """Feature maps in a square, each stretched to its own range and brightened, with a thin gap."""
    K, H, W = maps.shape
    columns = round(K**0.5)
    gap = max(1, W // 40)
    sheet = np.full((-(-K // columns) * (H + gap) - gap, columns * (W + gap) - gap), np.nan)
    for k, plane in enumerate(maps):
        top, left = k // columns * (H + gap), k % columns * (W + gap)
        sheet[top : top + H, left : left + W] = (plane / max(np.quantile(plane, 0.995), 1e-12)) ** GAMMA
    return sheet


def panel(axes, image, title, below, **how):
    axes.imshow(image, interpolation="antialiased", **how)
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=20)
    axes.text(0, 1.012, below, transform=axes.transAxes, fontsize=9.5, color=QUIET, va="bottom")


def bars(axes, done):
    """The sum of all jobs, four ways, on a logarithmic axis."""
    seconds = total(done)
    values = [seconds[way] for way in WAYS]
    floor = min(values) / 6
    colours = [ACCENT, "#8d99a6", "#a9b2bc", "#c3cad1"]
    axes.barh(range(4), [v - floor for v in values], left=floor, color=colours, height=0.62)
    axes.set_xscale("log")
    axes.set_xlim(floor, max(values) * 400)
    axes.invert_yaxis()
    axes.set_axis_off()
    for row, (way, value) in enumerate(zip(WAYS, values, strict=True)):
        ratio = "" if row == 0 else f"   {times(value / values[0])}"
        axes.text(floor, row - 0.37, way, fontsize=10, color=INK, va="bottom")
        axes.text(value * 1.25, row, duration(value) + ratio, fontsize=10, color=INK, va="center")
    axes.set_ylim(3.45, -0.75)
    axes.set_title("all six together", loc="left", fontsize=13, fontweight="bold", color=INK, pad=20)
    axes.text(0, 1.012, "logarithmic; loops in Python scaled from a crop", transform=axes.transAxes, fontsize=9.5,
              color=QUIET, va="bottom")  # fmt: skip


def draw(picture, done, subtitle):
    """The sheet of results: a matplotlib Figure."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    H, W = picture.shape[1:]
    ratio = min(max(H / W, 0.6), 2.0)
    width = 15.0
    tile = (width - 1.6) / 4
    height = 2 * tile * ratio + 2.9
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    grid = figure.subplots(2, 4)
    figure.subplots_adjust(
        left=0.5 / width, right=1 - 0.5 / width, top=1 - 1.75 / height, bottom=0.4 / height, wspace=0.05,
        hspace=0.75 / (tile * ratio),
    )  # fmt: skip
    figure.text(0.5 / width, 1 - 0.5 / height, "convfast", fontsize=24, fontweight="bold", color=ACCENT, va="center")
    figure.text(0.5 / width, 1 - 0.95 / height, subtitle, fontsize=11, color=QUIET, va="center")

    def rgb(planes):
        return np.clip(np.moveaxis(planes, 0, -1), 0, 1)

    def below(job):
        return f"{job.what.split(',')[0] if len(job.what) > 30 else job.what}: {duration(job.seconds['convfast'])}"

    blur, sharpen, edges, *layers = done
    strength = np.hypot(*edges.y)
    panel(grid[0, 0], rgb(picture), "the picture", f"{W} x {H} pixels, 3 colours")
    panel(grid[0, 1], rgb(blur.y), "blur", below(blur))
    panel(grid[0, 2], rgb(sharpen.y), "sharpen", below(sharpen))
    brightest = np.quantile(strength, 0.998) ** GAMMA or 1
    panel(grid[0, 3], strength**GAMMA, "edges", below(edges), cmap="magma", vmax=brightest)
    colours = colormaps["magma"].with_extremes(bad=PAPER)
    for axes, layer in zip(grid[1], layers, strict=False):
        K, P, Q = layer.y.shape
        title = f"{layer.name}: {K} maps of {Q} x {P}"
        panel(axes, mosaic(layer.y), title, below(layer), cmap=colours, vmin=0, vmax=1)
    bars(grid[1, 3], done)
    return figure
