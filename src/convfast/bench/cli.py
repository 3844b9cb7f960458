"""The command line of the benchmark: `python -m convfast bench`."""

import argparse
import json
import os
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

import convfast
from convfast.bench import ratios, report, show
from convfast.bench.contenders import CONTENDERS
from convfast.bench.layers import LAYERS, SUITES
from convfast.bench.measure import FORMAT, Bench, Settings

QUICK_SECONDS = 50  # for the rounds; the rest of the minute is for starting and writing
SCALING_THREADS = (1, 2, 4, 8, 16, 32, 64, 128)
SCALING_LAYERS = ["rn50_s1_3x3", "rn50_s3_expand", "mbv1_dw1", "max_2x2s2_64x112"]


def count(text):
    """How many images, threads or rounds."""
    try:
        n = int(text)
    except ValueError:
        n = 0
    if n < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return n


def duration(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not seconds > 0:  # nan is no duration either
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return seconds


def parser(program="python -m convfast bench"):
    p = argparse.ArgumentParser(
        prog=program,
        description="Measure convfast and every other library that is installed, in turns, on the same layers.",
        epilog='In a checkout, pip install ".[bench]" adds pictures and a progress bar; the libraries are measured if '
        "they are installed: " + ", ".join(CONTENDERS) + ".",
    )
    p.add_argument("layers", nargs="*", help="names of layers or suites; default: forward pools pads planes tiny")
    p.add_argument("--quick", action="store_true", help="nine layers, fewer rounds, less than a minute")
    p.add_argument("--list", action="store_true", help="list suites, layers and libraries, then end")
    p.add_argument("--only", metavar="A,B", help="these libraries instead of all (convfast always takes part)")
    p.add_argument("--threads", type=count, metavar="N", help="for every library; default: convfast's own choice")
    p.add_argument("--batch", type=count, metavar="N", help="every layer with N images")
    p.add_argument("--rounds", type=count, metavar="N", help="turns of every row at every layer (6; quick 3)")
    p.add_argument("--seconds", type=duration, metavar="S", help="leave out what does not fit into this time")
    p.add_argument("--scaling", action="store_true", help="also the suites sizes and batches, and 1, 2, 4 .. threads")
    p.add_argument("--json", metavar="FILE", help="write every number")
    p.add_argument("--csv", metavar="FILE", help="write the rows")
    p.add_argument("--html", metavar="FILE", help="write a report with pictures, in one file")
    p.add_argument("--markdown", metavar="FILE", help="write the tables (benchmarks/RESULTS.md is made so)")
    p.add_argument("--pictures", metavar="FOLDER", help="write the pictures as PNG files")
    p.add_argument("--compare", metavar="FILE", help="the --json of an earlier run: what changed")
    p.add_argument("--from", dest="source", metavar="FILE", help="measure nothing: make the reports from this --json")
    p.add_argument("--all", action="store_true", help="print the table of every layer, too")
    return p


def chosen_layers(names, batch=None):
    """Layers of suites and names, each once."""
    found = {}
    for name in names:
        if name not in SUITES and name not in LAYERS:
            raise SystemExit(f"bench: no layer or suite {name!r}; see --list")
        for layer in SUITES.get(name) or (LAYERS[name],):
            layer = layer.batch(batch) if batch else layer
            found[layer.name] = layer
    return list(found.values())


def chosen_contenders(only):
    if only is None:
        return list(CONTENDERS.values())
    names = only.split(",")
    for name in names:
        if name not in CONTENDERS:
            raise SystemExit(f"bench: no library {name!r}; there are {', '.join(CONTENDERS)}")
    return [contender for name, contender in CONTENDERS.items() if name in names or name == ratios.OWN]


def list_everything():
    for name, layers in SUITES.items():
        print(f"{name}: {' '.join(layer.name for layer in layers)}")
    for name, contender in CONTENDERS.items():
        missing = contender.missing()
        state = f"not installed: {', '.join(missing)}" if missing else contender.version()
        print(f"{name}: {state}; rows {', '.join(row.name for row in contender.rows)}")


def load(path):
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"bench: cannot read {path}: {error}") from None
    if found.get("format") != FORMAT:
        raise SystemExit(
            f"bench: {path} is not a report of this version (format {found.get('format')!r}, not {FORMAT!r})"
        )
    return found


def obstacle(path, is_folder):
    """Why nothing can be written there, or None. A folder of pictures is made if need be, that of a file is not."""
    if os.path.exists(path):
        if os.path.isdir(path) != is_folder:
            return f"{path!r} is {'not ' if is_folder else ''}a folder"
        return None if os.access(path, os.W_OK) else f"{path!r} is not writeable"
    above = os.path.dirname(path) or os.curdir
    if is_folder or os.path.isdir(above):
        return obstacle(above, True)
    return f"there is no folder {above!r}"


def check_outputs(args):
    """Refuse before the work what would fail after it."""
    for option in ("json", "csv", "markdown", "html", "pictures"):
        path = getattr(args, option)
        reason = path and obstacle(path, option == "pictures")
        if reason:
            raise SystemExit(f"bench: cannot write --{option} {path}: {reason}")


def measure(args):
    """Run what the arguments ask for; the report."""
    names = args.layers or (["quick"] if args.quick else ["forward", "pools", "pads", "planes", "tiny"])
    settings = Settings(threads=args.threads or convfast.get_num_threads())
    if args.quick:
        settings = replace(settings, rounds=3, calls=5, flushed=0, turn_s=0.05, seconds=QUICK_SECONDS)
    if args.rounds:
        settings = replace(settings, rounds=args.rounds)
    if args.seconds:
        settings = replace(settings, seconds=args.seconds)
    contenders = chosen_contenders(args.only)
    layers = chosen_layers(names, args.batch)
    if args.scaling:
        layers = list(
            {layer.name: layer for layer in layers + chosen_layers(["sizes", "batches", *SCALING_LAYERS])}.values()
        )
    if settings.seconds < float("inf"):
        layers.sort(key=lambda layer: layer.flops)  # when the time is over, most layers have been measured
    begin = time.monotonic()
    with show.progress() as bar:
        found = Bench(settings, contenders, bar.tell).run(layers)
    fewer = [n for n in SCALING_THREADS if n < settings.threads] if args.scaling else []
    for n in fewer:
        left = settings.seconds - (time.monotonic() - begin)
        with show.progress() as bar:
            run = Bench(replace(settings, threads=n, seconds=left), contenders, bar.tell)
            found["rows"] += run.run(chosen_layers(SCALING_LAYERS))["rows"]
    return found


def outputs(found, args):
    """(path, what writes it) for everything asked for, the numbers first."""
    if args.json:
        yield args.json, lambda path: Path(path).write_text(json.dumps(found, indent=1) + "\n")
    if args.csv:
        yield args.csv, lambda path: report.write_csv(found, path)
    if args.markdown:
        yield args.markdown, lambda path: Path(path).write_text(report.markdown(found, found["command"]))
    if args.html or args.pictures:
        from convfast.bench import html, pictures

        drawn = {}
        if pictures.available():
            drawn = pictures.draw(found)
        else:
            print('no pictures: matplotlib is not installed (pip install ".[bench]")', file=sys.stderr)
        if args.pictures:
            yield args.pictures, lambda path: pictures.write(drawn, path)
        if args.html:
            yield args.html, lambda path: Path(path).write_text(html.page(found, drawn))


def write(found, args):
    """Write the files asked for: whether all could be. One that cannot be is named and does not stop the others."""
    complete = True
    for path, write_to in outputs(found, args):
        try:
            write_to(path)
        except OSError as error:
            print(f"bench: cannot write {path}: {error.strerror or error}", file=sys.stderr)
            complete = False
    return complete


def main(argv=None):
    """0; 1 if convfast itself failed or was wrong somewhere, or if a file could not be written."""
    argv = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    if args.list:
        list_everything()
        return 0
    check_outputs(args)
    old = load(args.compare) if args.compare else None
    if args.source:
        found = load(args.source)
    else:
        found = measure(args)
        found["command"] = shlex.join(["python", "-m", "convfast", "bench", *argv])
    complete = write(found, args)
    show.show_table(report.machine_table(found))
    show.show_table(report.libraries_table(found))
    if args.all or args.quick:
        for table in report.layer_tables(found):
            show.show_table(table)
    for table in report.summary_tables(found):
        show.show_table(table)
    if old:
        for table in report.compare_tables(ratios.compare(old, found)):
            show.show_table(table)
    for warning in found["warnings"]:
        print(f"Warning: {warning}")
    bad = [row for row in found["rows"] if row["library"] == ratios.OWN and row["status"] in ("wrong", "failed")]
    for row in bad:
        print(f"convfast {row['status']} at {row['layer']} ({row['row']}): {row['reason']}", file=sys.stderr)
    return 1 if bad or not complete else 0
