"""The benchmark catches who is wrong, reports who lost, and says when the machine was not calm."""

import copy
import csv
import errno
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import report_tools
from report_tools import Absent, Cheat, Fickle, Honest, Mortal, Wrong, made_up_report

from convfast.bench import cli, html, limits, pictures, ratios, report, show, truth
from convfast.bench.contenders.own import Convfast
from convfast.bench.contenders.plain import CLoops, NumPy, PythonLoops
from convfast.bench.contenders.pytorch import Torch
from convfast.bench.layers import LAYERS, SUITES, Conv, conv, gradient
from convfast.bench.measure import FORMAT, Bench, Settings
from convfast.bench.worker import layer_of, layer_words

FEW = Settings(threads=1, rounds=2, calls=2, flushed=0)
TINY = LAYERS["tiny_3x8x8"]


@pytest.fixture(scope="module")
def planted():
    """One run with every kind of contender."""
    contenders = [Convfast, Wrong, Cheat, Fickle, Mortal, Absent, Honest, CLoops, PythonLoops]
    return Bench(FEW, contenders).run([TINY, LAYERS["tiny_depthwise"]])


def status(found, row, layer="tiny_3x8x8"):
    return next((r["status"], r["reason"]) for r in found["rows"] if r["row"] == row and r["layer"] == layer)


def test_a_wrong_answer_is_disqualified(planted):
    word, reason = status(planted, "wrong")
    assert word == "wrong"
    assert "above 1e-03" in reason
    assert not any("median_s" in row for row in planted["rows"] if row["row"] == "wrong")
    assert "WRONG" in "\n".join(map(report.plain, report.layer_tables(planted)))


def test_an_old_answer_to_a_new_input_is_disqualified(planted):
    assert status(planted, "cheat") == ("wrong", "answers a changed input with the old output")


def test_an_answer_that_changes_later_is_disqualified(planted):
    assert status(planted, "fickle") == ("wrong", "gave different answers to the same input")


def test_a_dead_process_is_reported_and_the_run_goes_on(planted):
    word, reason = status(planted, "mortal")
    assert word == "failed"
    assert "code 7" in reason
    for layer in ("tiny_3x8x8", "tiny_depthwise"):
        assert status(planted, "honest", layer) == ("ok", "")


def test_what_is_not_installed_is_said(planted):
    assert planted["libraries"]["absent"]["status"] == "not installed: no_such_module_anywhere"


def test_rows_have_times_errors_and_limits(planted):
    good = [row for row in planted["rows"] if row["status"] == "ok"]
    assert {"convfast", "honest", "C loops", "python loops"} <= {row["row"] for row in good}
    for row in good:
        assert 0 < row["q1_s"] <= row["median_s"] <= row["q3_s"]
        assert row["error"] < 1e-6
        assert row["share"] == pytest.approx(row["limit_s"] / row["median_s"])
        assert FEW.rounds <= row["samples"] <= FEW.rounds * FEW.calls


def test_a_report_is_json_and_csv(planted, tmp_path):
    again = json.loads(json.dumps(planted, allow_nan=False))
    assert again == planted
    assert again["format"] == FORMAT
    assert set(again) >= {"machine", "settings", "libraries", "limits", "drift", "load", "warnings", "rows"}
    report.write_csv(planted, tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [row["row"] for row in planted["rows"]]
    assert float(rows[0]["median_s"]) == planted["rows"][0]["median_s"]


def test_a_layer_survives_json():
    for layer in LAYERS.values():
        assert layer_of(json.loads(json.dumps(layer_words(layer)))) == layer


@pytest.mark.parametrize("name", ["tiny_conv1d", "seed_25x20", "tiny_depthwise", "seed_nonoverlapping"])
def test_truth_is_the_reference(name):
    from convfast import reference

    layer = LAYERS[name]
    x, w = truth.arrays(layer)
    y, A = truth.exact(layer, x, w)
    exact = reference.conv2d(x.astype(float), w.astype(float), **layer.options)
    np.testing.assert_allclose(y, exact, rtol=1e-12, atol=1e-12)
    assert (np.abs(y) <= A).all()


def test_truth_knows_groups_stride_and_dilation():
    from convfast import reference

    layer = Conv("odd", 2, 6, 13, 11, 4, 3, 2, (2, 1), (1, 2), (1, 2), 2)
    x, w = truth.arrays(layer)
    exact = reference.conv2d(x.astype(float), w.astype(float), **layer.options)
    np.testing.assert_allclose(truth.exact(layer, x, w)[0], exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("contender", [CLoops, NumPy, PythonLoops])
def test_plain_contenders_are_right(contender):
    layer = conv("small", 4, (7, 9), 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2, N=2)
    x, w = truth.arrays(layer)
    one = contender()
    one.start(1)
    y = one.prepare(layer, one.rows[0], x, w)()
    assert truth.error(y, *truth.exact(layer, x, w))[1] == ""


GRADIENTS = [
    gradient(layer, of)
    for layer in (
        conv("small", 4, (7, 9), 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2, N=2),
        conv("depthwise", 3, (6, 8), 3, 3, stride=(1, 2), padding=(1, 2), groups=3),
        conv("dilated", 2, (9, 8), 3, (2, 3), dilation=(1, 2), N=2),
    )
    for of in ("input", "weight")
]


@pytest.mark.parametrize("layer", GRADIENTS, ids=lambda layer: layer.name)
def test_the_truth_of_gradients_is_the_reference(layer):
    from convfast import reference

    a, b = (array.astype(float) for array in truth.arrays(layer))
    if layer.of == "input":
        exact = reference.conv2d_input_grad(a, b, layer.x_shape, **layer.options)
    else:
        exact = reference.conv2d_weight_grad(a, b, (layer.R, layer.S), **layer.options)
    np.testing.assert_allclose(truth.exact(layer, a, b)[0], exact, rtol=1e-12, atol=1e-12)
    assert exact.shape == layer.result_shape


def test_gradients_of_the_contenders_are_right():
    found = Bench(FEW, [Convfast, Torch, NumPy, CLoops]).run(GRADIENTS)
    rows = {(row["layer"], row["row"]): row["status"] for row in found["rows"] if row["precision"] == "highest"}
    names = {"numpy", "convfast raw", "convfast NHWC raw"}
    if not Torch.missing():
        names |= {"torch raw", "torch NHWC raw"}
    assert rows == {(layer.name, name): "ok" for layer in GRADIENTS for name in names}
    assert {fight["group"] for fight in ratios.duels(found, "highest")} == {"input gradients", "weight gradients"}


def test_the_backward_suite_has_both_batches():
    assert len(SUITES["backward"]) == 2 * (2 * 13 - 1)
    assert {layer.N for layer in SUITES["backward"]} == {1, 16}
    assert "rn50_conv1_input_grad" not in LAYERS


def test_errors_that_are_no_rounding():
    y = np.ones((1, 1, 2, 2))
    assert truth.error(y, y, y) == (0, "")
    assert "shape" in truth.error(y[0], y, y)[1]
    assert truth.error(y * np.nan, y, y)[1] == "not finite"
    assert truth.error(y * 1.002, y, y)[1]


def test_drift_is_seen():
    steady, falling, shaken = limits.Drift(), limits.Drift(), limits.Drift()
    for i in range(30):
        steady.add(200 + i % 3)
        falling.add(200 - 2 * i)
        shaken.add(200 if i % 4 else 120)
    calm = {"others": 0.0, "stolen": 0.0}
    assert limits.warnings(steady.summary(), calm, 1) == []
    assert "drifted" in " ".join(limits.warnings(falling.summary(), calm, 1))
    assert "Unsteady" in " ".join(limits.warnings(shaken.summary(), calm, 1))
    assert limits.warnings(limits.Drift().summary(), calm, 1) == []


def test_other_load_is_seen():
    busy = {"others": 0.5, "stolen": 0.2}
    said = " ".join(limits.warnings({}, busy, 1))
    assert "50 %" in said
    assert "20 %" in said


def test_time_that_is_over_is_said():
    settings = Settings(threads=1, rounds=2, calls=1, flushed=0, seconds=0)
    found = Bench(settings, [CLoops]).run([TINY])
    assert [(row["status"], row["reason"]) for row in found["rows"]] == [("skipped", "the time was over")]


def test_ratios_keep_losses():
    found = made_up_report(["quick"])
    for row in found["rows"]:
        if row["layer"] == "rn50_conv1" and row["library"] == "convfast":
            row["median_s"] = 1.0
    fights = ratios.duels(found, "highest")
    assert min(fights, key=lambda f: f["ratio"])["layer"] == "rn50_conv1"
    text = "\n".join(map(report.plain, report.summary_tables(found)))
    assert "LOST" in text
    everything = next(s for s in ratios.summary(found) if s["group"] == "all" and s["comparison"] == "highest")
    assert everything["won"] == pytest.approx(1 - 1 / len(SUITES["quick"]))


def test_compare_tells_ratios_from_clocks():
    old = made_up_report(["quick"])
    new = copy.deepcopy(old)
    for row in new["rows"]:  # a machine of half the speed
        row["median_s"] *= 2
    assert ratios.compare(old, new)["means"]["highest"] == pytest.approx(1)
    for row in new["rows"]:
        if row["library"] == "convfast":
            row["median_s"] *= 1.25
    new["machine"]["cpu"] = "another"
    found = ratios.compare(old, new)
    assert found["means"]["highest"] == pytest.approx(0.8)
    assert found["remarks"] == ["cpu: Paper CPU before, another now"]
    assert "-20.0 %" in "\n".join(map(report.plain, report.compare_tables(found)))


def test_networks_count_their_layers():
    found = made_up_report(["vgg16"])
    for row in found["rows"]:
        row["median_s"] = 1.0
    assert ratios.network(found, "vgg16")["convfast"] == 13


def test_html_needs_nothing_else():
    page = html.page(made_up_report(), {"p": ("a <picture>", b"png")})
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "http" not in page
    assert "a &lt;picture&gt;" in page
    inside = re.search(r'<script type="application/json" id="report">(.*)</script>', page)[1]
    assert json.loads(inside)["format"] == FORMAT


def test_pictures_of_every_kind():
    pytest.importorskip("matplotlib")
    layers = ["size_7", "size_14", "batch_1", "batch_2"]
    drawn = pictures.draw(made_up_report(layers, threads=(1, 2), libraries=("convfast", "numpy")))
    assert {"overview", "roofline", "sizes", "batches", "bars_1", "threads_size_7"} <= set(drawn)
    assert all(png.startswith(b"\x89PNG") for _, png in drawn.values())
    assert set(pictures.draw(made_up_report(["tiny"], libraries=("convfast",)))) == {"roofline"}  # nobody to beat


def test_markdown_names_its_command():
    text = report.markdown(made_up_report(), "python -m convfast bench")
    assert text.startswith("# Results\n\nWritten by `python -m convfast bench`; never by hand.")


def test_reports_of_reports(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pictures, "available", lambda: False)
    source = tmp_path / "old.json"
    source.write_text(json.dumps(made_up_report()))
    page = tmp_path / "page.html"
    assert cli.main(["--from", str(source), "--compare", str(source), "--html", str(page), "--all"]) == 0
    said = capsys.readouterr().out
    assert "+0.0 %" in said
    assert "rn50_conv1: 236 MFLOP" in said
    assert page.stat().st_size > 1000


def test_mistakes_of_the_user(tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    for arguments in (["no_such_layer"], ["--only", "nobody"], ["--from", str(wrong)], ["--compare", "missing.json"]):
        with pytest.raises(SystemExit, match="bench: "):
            cli.main(arguments)


@pytest.mark.parametrize("option", ["--threads", "--batch", "--rounds", "--seconds"])
@pytest.mark.parametrize("value", ["0", "-3", "nan", "many"])
def test_numbers_that_measure_nothing_are_refused(option, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([option, value, "no_such_layer"])
    least = "above 0" if option == "--seconds" else "at least 1"
    assert re.search(rf"argument {option}: must be .* {least}, not '{value}'\n$", capsys.readouterr().err)


@pytest.fixture
def saved(tmp_path):
    """The path of a report."""
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(made_up_report(["quick"])))
    return str(path)


@pytest.mark.parametrize("option", ["--json", "--csv", "--markdown", "--html", "--pictures"])
def test_outputs_are_refused_before_anything_is_measured(option, saved, tmp_path, monkeypatch):
    def measure(args):
        raise AssertionError("measured for nothing")

    monkeypatch.setattr(cli, "measure", measure)
    bad = [f"{saved}/below_a_file"]
    bad += [saved] if option == "--pictures" else [str(tmp_path), str(tmp_path / "missing" / "file")]
    for path in bad:
        for arguments in ([], ["--from", saved]):
            with pytest.raises(SystemExit, match=f"^bench: cannot write {option} {path}: .*folder"):
                cli.main([*arguments, option, path])
    monkeypatch.setattr(cli.os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit, match="not writeable"):
        cli.main([option, str(tmp_path / "new")])


def test_one_output_that_fails_does_not_lose_the_others(saved, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_csv", full)
    monkeypatch.setattr(pictures, "write", full)
    words = [f"--{name}={tmp_path / name}" for name in ("json", "csv", "markdown", "html", "pictures")]
    assert cli.main(["--from", saved, *words]) == 1
    said = capsys.readouterr()
    for name in ("csv", "pictures"):
        assert f"bench: cannot write {tmp_path / name}: No space left on device\n" in said.err
    assert "Ratios" in said.out
    assert json.loads((tmp_path / "json").read_text()) == made_up_report(["quick"])
    assert min((tmp_path / name).stat().st_size for name in ("markdown", "html")) > 1000


def test_pictures_become_files(saved, tmp_path):
    pytest.importorskip("matplotlib")
    assert cli.main(["--from", saved, "--pictures", str(tmp_path / "a" / "b")]) == 0
    assert {"overview.png", "roofline.png"} <= {path.name for path in (tmp_path / "a" / "b").iterdir()}


def test_a_wrong_convfast_is_an_error(tmp_path):
    found = made_up_report(["quick"])
    found["rows"][0] |= {"status": "wrong", "reason": "error 1 of A"}
    source = tmp_path / "r.json"
    source.write_text(json.dumps(found))
    assert cli.main(["--from", str(source)]) == 1


def test_list_names_everything(capsys):
    assert cli.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert "quick: rn50_conv1" in said
    assert "python: " in said


BARE = """
import sys
for name in ("rich", "matplotlib", "torch", "scipy", "cv2", "onnx", "jax", "ncnn", "openvino", "onnxruntime"):
    sys.modules[name] = None  # importing it raises ImportError
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if sys.modules.get(name, 0) is None else find(name, *rest)
from convfast.bench import cli
sys.exit(cli.main(["tiny_plane_8", "--rounds", "2", "--threads", "1", "--html", sys.argv[1]]))
"""


def test_runs_without_any_extra(tmp_path):
    page = tmp_path / "page.html"
    run = subprocess.run([sys.executable, "-c", BARE, str(page)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "matplotlib is not installed" in run.stderr
    assert "not installed: torch" in run.stdout
    for row in ("convfast", "numpy", "C loops", "python loops"):
        assert row in run.stdout
    assert "<img" not in page.read_text()


def test_plain_progress_speaks_seldom(capsys, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(show.time, "monotonic", lambda: next(clock))
    bar = show.PlainProgress()
    for i in range(20):
        bar.tell(i / 20, f"layer {i}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert "left: layer" in lines[-1]


def test_made_up_contenders_stay_out_of_the_registry():
    from convfast.bench.contenders import CONTENDERS

    assert not {report_tools.Wrong, report_tools.Cheat} & set(CONTENDERS.values())
