"""The command line: configuration, demo, selftest."""

import io
import subprocess
import sys

import numpy as np
import pytest

import convfast
from convfast import demo, reference, selftest
from convfast.__main__ import main

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, and a demo that does not take its time over timing."""
    monkeypatch.setattr(demo, "ENOUGH_SECONDS", 0)
    monkeypatch.setattr(demo, "LOOP_PRODUCTS", 1000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(folder, name="photo.png", mode="RGB", size=(24, 17)):
    width, height = size
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(folder / name)
    return str(folder / name)


def test_module_runs_as_a_program(folder):
    done = subprocess.run([sys.executable, "-m", "convfast"], capture_output=True, text=True, check=True)
    for word in (convfast.__version__, convfast.isa(), "OpenMP", "threads"):
        assert word in done.stdout


def test_version_and_unknown_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.strip() == convfast.__version__
    with pytest.raises(SystemExit, match="2"):
        main(["dmeo"])


def test_selftest_passes_quickly(capsys):
    isa = convfast.isa()
    assert main(["selftest"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(selftest.PER_ISA) * len(convfast.available_isas()) + len(selftest.ONCE) + 1
    assert all(line.startswith(("✓ ", "ok ")) for line in lines[:-1])
    assert float(lines[-1].split()[-2]) < 10  # the promise of the README
    assert convfast.isa() == isa


def test_selftest_calls_every_function():
    calls = {name: call for name, *call in selftest.function_calls(np.random.default_rng(1))}
    assert set(calls) | {"conv2d", "conv2d_output_shape", "conv2d_loops"} == set(reference.__all__)
    for name, (arguments, options) in calls.items():
        assert np.any(getattr(reference, name)(*arguments, **options)), name


@pytest.mark.parametrize("trouble", [selftest.Different("one bit is off"), RuntimeError("no such thing")])
def test_selftest_tells_what_failed(capsys, monkeypatch, trouble):
    def topic(rng):
        raise trouble

    monkeypatch.setattr(selftest, "PER_ISA", ())
    monkeypatch.setattr(selftest, "ONCE", (selftest.callers, topic))
    assert main(["selftest"]) == 1
    out = capsys.readouterr().out
    assert str(trouble) in out
    assert "1 of 2 topics failed" in out


def test_selftest_notices_a_wrong_kernel(monkeypatch):
    right = convfast.conv2d

    def wrong(*args, **options):
        y = right(*args, **options)
        y.flat[-1] += 1
        return y

    monkeypatch.setattr(convfast, "conv2d", wrong)
    for topic in (selftest.exactly, selftest.closely, selftest.loosely, selftest.subnormals):
        with pytest.raises(selftest.Different):
            topic(np.random.default_rng(1))


def test_selftest_notices_a_missing_function(monkeypatch):
    monkeypatch.delattr(convfast, "resize2d")
    with pytest.raises(AttributeError, match="resize2d"):
        selftest.other_functions(np.random.default_rng(1))


def test_marks_suit_the_terminal():
    assert selftest.mark(True, io.TextIOWrapper(io.BytesIO(), "utf-8")) == "✓"
    assert selftest.mark(True, io.TextIOWrapper(io.BytesIO(), "ascii")) == "ok"
    assert selftest.mark(False, io.TextIOWrapper(io.BytesIO(), "cp1252")) == "FAILED"


def test_demo_writes_a_picture_and_never_overwrites(folder, capsys):
    photo = picture(folder)
    assert main(["demo", photo]) == 0
    assert main(["demo", photo]) == 0
    assert {path.name for path in folder.glob("convfast-demo*")} == {"convfast-demo.png", "convfast-demo-2.png"}
    with Image.open("convfast-demo.png") as sheet:
        width, height = sheet.size
        assert width > height > 500
        assert len(np.unique(np.asarray(sheet.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    out = capsys.readouterr().out
    for job in ("blur", "sharpen", "edges", "layer 1", "layer 2", "layer 3", "Python loops", "NumPy idiom", "C loops"):
        assert job in out
    before = (folder / "convfast-demo.png").read_bytes()
    assert main(["demo", photo, "--output", "convfast-demo.png"]) == 2
    assert "--force" in capsys.readouterr().err
    assert (folder / "convfast-demo.png").read_bytes() == before
    assert main(["demo", photo, "--output", "convfast-demo.png", "--force"]) == 0
    assert (folder / "convfast-demo.png").read_bytes() != before  # other times


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("alpha.png", "RGBA", (20, 12)),
        ("grey.png", "L", (20, 12)),
        ("grey-alpha.png", "LA", (20, 12)),
        ("palette.gif", "P", (20, 12)),
        ("bits.png", "1", (20, 12)),
        ("print.jpg", "CMYK", (20, 12)),
        ("deep.tiff", "I", (20, 12)),
        ("floats.tiff", "F", (20, 12)),
        ("dot.png", "RGB", (1, 1)),
        ("thread.png", "RGB", (300, 1)),
    ],
)
def test_demo_takes_any_picture(folder, name, mode, size):
    assert main(["demo", picture(folder, name, mode, size), "-o", "out.png"]) == 0
    assert (folder / "out.png").stat().st_size > 10_000


def test_pictures_are_read_as_they_look(folder):
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0] = 255, 0, 0, 255
    Image.fromarray(rgba).save("see-through.png")
    pixels, _ = demo.load("see-through.png", 100)
    np.testing.assert_array_equal(pixels[:, 0, 0], [1, 0, 0])
    np.testing.assert_array_equal(pixels[:, 1, 0], [1, 1, 1])  # what nobody sees is white
    deep = np.arange(0, 60_000, 1000, dtype=np.uint16).reshape(6, 10)
    Image.fromarray(deep).save("deep.png")
    pixels, _ = demo.load("deep.png", 100)
    assert pixels.shape == (3, 6, 10)
    np.testing.assert_allclose(pixels[0], deep / deep.max(), atol=1 / 255)


def test_large_pictures_are_shrunk_and_it_says_so(folder, capsys):
    assert main(["demo", picture(folder, size=(400, 30)), "--max-side", "40"]) == 0
    assert "shrunk to 40 x 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.png"], "there is no file"),
        (["."], "a folder"),
        (["text.jpg"], "not a picture"),
        (["cut.png"], "not a picture"),
        (["photo.png", "-o", "no/such/folder.png"], "no folder"),
        (["photo.png", "-o", "results.txt"], "must end in"),
        (["photo.png", "--max-side", "0"], "at least 16"),
    ],
)
def test_demo_refuses_in_one_sentence(folder, capsys, arguments, says):
    (folder / "text.jpg").write_text("not a photograph")
    photo = picture(folder)
    with open(photo, "rb") as file:
        (folder / "cut.png").write_bytes(file.read()[:200])
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(folder.glob("convfast-demo*"))


@pytest.mark.parametrize("missing", ["PIL", "matplotlib"])
def test_demo_names_what_is_not_installed(folder, capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["demo"]) == 2
    assert "pip install pillow matplotlib" in capsys.readouterr().err


def test_default_picture_is_a_photograph():
    pixels, (width, height) = demo.load(demo.default_picture(), 1024)
    assert (width, height) == (512, 600)
    assert pixels.shape == (3, 600, 512)
    assert pixels.std() > 0.2


def test_numpy_idiom_follows_the_law():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 11, 14))
    for stride, groups, size in ((1, 1, (3, 3)), (2, 3, (5, 4)), (3, 6, (2, 7))):
        w = rng.standard_normal((12, 6 // groups, *size))
        options = {"padding": "same", "stride": stride, "groups": groups, "padding_mode": "edge", "activation": "relu"}
        np.testing.assert_allclose(
            demo.numpy_idiom(x, w, **options), reference.conv2d(x, w, **options), rtol=1e-12, atol=1e-12
        )
