"""What the README and the other pages say is so: commands, tables, links, names."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import convfast

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="reads pages that are not here")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.S | re.M)


def table(page, heading):
    """The cells of the table whose first line holds this, without that line and the rule below it."""
    lines = page.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|") and heading in line)
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows
    return rows


def codes(text):
    return re.findall(r"`([^`]+)`", text)


# Commands


def test_there_are_exactly_two_commands_to_set_up():
    (block,) = blocks(README, "sh")
    first, second = block.splitlines()
    assert ".[demo]" in first
    assert first.endswith("python -m convfast demo")
    assert ".[test]" in second
    assert second.endswith("python -m pytest")


def test_examples_run_in_the_environment_of_the_first_command():
    lines = [line for block in blocks(README, "console") for line in block.splitlines()]
    assert lines[0] == '.venv/bin/pip install ".[examples]"'
    for line in lines[1:]:
        program, script = line.split()[:2]
        assert program == ".venv/bin/python"
        assert (ROOT / script).is_file()
    assert len(lines) > 1


def test_ci_takes_the_commands_from_the_readme():
    ci = (ROOT / ".ci" / "run").read_text()
    assert 'awk \'/^```/ { inside = ($0 == "```sh"); next } inside\' "$top/README.md"' in ci
    assert 'bash -euo pipefail -c "$command"' in ci
    for command in blocks(README, "sh")[0].splitlines():
        assert command not in ci


@pytest.mark.parametrize("tool", ["ruff", "mypy"])
def test_contributors_check_what_ci_checks(tool):
    asked = re.findall(rf"\b{tool} (.+)", "\n".join(blocks(ROOT / "CONTRIBUTING.md", "console")))
    done = re.findall(rf'/{tool}" (.+)\)', (ROOT / ".ci" / "run").read_text())
    assert asked == done != []


def test_extras_exist():
    """And are asked for as they can be had: from a checkout, for convfast is on no index."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = set()
    for page in [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "examples").glob("*.py")]:
        for package, names in re.findall(r"(\.|\bconvfast)\[(\w[\w,]*)\]", page.read_text()):
            assert set(names.split(",")) <= set(extras), f"{page.name}: {names}"
            assert package == ".", f"{page.name}: convfast[{names}]"
            found.add(names)
    assert {"demo", "test", "bench", "examples"} <= found


def test_commands_of_the_module_exist():
    from convfast.__main__ import build_parser

    usage = build_parser().format_help()
    for page in PAGES:
        for command in re.findall(r"python -m convfast (\w+)", page.read_text()):
            assert re.search(rf"^ +{command} ", usage, re.M), f"{page.name}: {command}"


# Tables


def test_public_names_are_listed():
    listed = {name for row in table(README, "| names |") for name in codes(row[0])}
    assert listed == set(convfast.__all__)


def test_every_word_of_convfast_in_the_table_of_words_is_accepted():
    x, w = np.ones((1, 4, 9, 9), np.float32), np.ones((4, 4, 3, 3), np.float32)
    tried = 0
    for row in table(README, "PyTorch"):
        for code in codes(row[-1]):
            if re.match(r"\w+\(x", code):
                eval(code, {"x": x, **{name: getattr(convfast, name) for name in convfast.__all__}})
            if not re.match(r"\w+=", code) or code.startswith("mode="):
                continue
            options = eval(f"dict({code})")
            groups = options.get("groups", 1)
            nhwc = options.get("data_format") == "NHWC"
            filters = w[:, : 4 // groups]
            if nhwc:
                convfast.conv2d(np.moveaxis(x, 1, -1), filters.transpose(2, 3, 1, 0), **options)
            else:
                convfast.conv2d(x, filters, **options)
            tried += 1
    assert tried > 15


def test_depthwise_filters_of_tensorflow():
    """The reshape that the table of words gives, against the definition of depthwise_conv2d."""
    rng = np.random.default_rng(1)
    R, S, C, m = 3, 2, 4, 3
    x, w = rng.standard_normal((1, 6, 7, C)), rng.standard_normal((R, S, C, m))
    y = convfast.conv2d(x, w.reshape(R, S, 1, C * m), groups=C, data_format="NHWC")
    for c in range(C):
        for i in range(m):
            plane = convfast.conv2d(x[0, :, :, c], w[:, :, c, i])
            np.testing.assert_allclose(y[0, :, :, c * m + i], plane, rtol=1e-12, atol=1e-12)


def test_resizing_of_pytorch():
    """What the table of words equates gives the same numbers."""
    torch = pytest.importorskip("torch")
    (row,) = (row for row in table(README, "PyTorch") if row[0] == "to another size")
    x = np.random.default_rng(1).standard_normal((1, 2, 7, 11))
    theirs = {"x": torch.tensor(x), "F": torch.nn.functional, "size": (18, 18)}
    ours = {"x": x, "resize2d": convfast.resize2d}
    expected = eval(codes(row[1])[0], theirs).numpy()
    np.testing.assert_allclose(eval(codes(row[-1])[0], ours), expected, rtol=1e-12, atol=1e-12)


def test_switches_of_the_build_exist():
    setup = (ROOT / "setup.py").read_text()
    for row in table(README, "| switch |"):
        name, value = codes(row[0])[0].split("=")
        assert f'"{name}"' in setup
        assert value == "1" or f'"{value}"' in setup


def test_hops_to_the_hot_loop_exist():
    hops = [line.split()[:2] for line in blocks(README, "text")[-1].splitlines()]
    assert len(hops) == 1 + 4
    for name, path in hops:
        assert re.search(rf"\b{name.split('.')[-1]}\b", (ROOT / path).read_text()), (name, path)


def test_promises_name_tests_that_exist():
    found = 0
    for path, function in re.findall(r"`(tests/\w+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text()):
        assert re.search(rf"^def {function}\(", (ROOT / path).read_text(), re.M), f"{path}::{function}"
        found += 1
    assert found > 30


# Links and names


@pages
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pages
def test_names_in_the_text_exist(page):
    sources = "\n".join(
        path.read_text()
        for room in ("csrc", "src")
        for path in sorted((ROOT / room).rglob("*"))
        if path.suffix in (".c", ".h", ".py", ".pyx", ".pxd", ".pxi") and path.name != "_core.c"
    )
    setup = (ROOT / "setup.py").read_text()
    for code in codes(page.read_text()):
        if re.fullmatch(r"(csrc|src|tests|docs|\.ci)/[\w./-]+", code):
            assert (ROOT / code).exists(), code
        elif name := re.match(r"(cf_|CF_)\w+$", code):
            assert re.search(rf"\b{name[0]}\b", sources), code
        elif name := re.match(r"CONVFAST_[A-Z_]+[A-Z]", code):
            assert name[0] in setup + sources, code
        elif name := re.match(r"convfast\.(\w+)$", code):
            assert hasattr(convfast, name[1]), code


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert convfast.__version__ == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_pages_stay_within_their_width():
    for page in PAGES:
        wide = [line for line in page.read_text().splitlines() if len(line) > 120 and not line.startswith("|")]
        assert wide == [], page.name
