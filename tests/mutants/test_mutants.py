"""Changes are those that matter, drawn evenly; a test that notices one kills it, and one that does not lets it live."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import pytest

from tests.mutants.__main__ import equivalent_changes, main
from tests.mutants.changes import Change, changes_of, drawn, files_of
from tests.mutants.covering import CHAPTERS, COMPILED, Covering, copied, recorded
from tests.mutants.judging import Copies, Verdict, judged

ROOT = Path(__file__).resolve().parents[2]

TOY = '''"""Parcels."""

import time


def fee(grams: int) -> int:
    """Heavy parcels cost more."""
    if grams <= 500:  # the limit itself is light
        return 3
    return 7


def weight(parts: list[int]) -> int:
    """All parts together."""
    total = 0
    left = len(parts)
    while left > 0:
        left -= 1
        total += parts[left]
    return total


def drained(litres: int) -> int:
    """Down to the last."""
    while litres > 0:
        litres -= 1
    return litres


def never(parts: list[int]) -> int:
    """No test calls this."""
    return len(parts) + 40
'''

TOY_TESTS = """import pytest

from attribution.returns.toy import drained, fee, weight


@pytest.fixture(scope="module")
def heavy():
    return weight([300, 400])


def test_fees_of_a_light_and_of_a_heavy_parcel():
    assert fee(20) == 3
    assert fee(900) == 7


def test_all_parts_weigh(heavy):
    assert heavy == 700


def test_nothing_is_left():
    assert drained(3) == 0
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of one file with tests that know no limit, laid out as this one is."""
    texts = {
        "attribution/__init__.py": "",
        "attribution/returns/__init__.py": "",
        "attribution/returns/toy.py": TOY,
        "tests/returns/test_toy.py": TOY_TESTS,
        "tests/mutants/README": "the plugins that watch",
        "conftest.py": "from hypothesis import settings\nsettings.register_profile('project')\n",
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n'
        'markers = ["slow: takes long", "data: needs data"]\n',
    }
    copy = tmp_path_factory.mktemp("shop") / "copy"
    for name, text in texts.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for plugin in ("recorder.py", "limits.py"):
        shutil.copy(ROOT / "tests/mutants" / plugin, copy / "tests/mutants" / plugin)
    return copy


@pytest.fixture(scope="module")
def covering(shop: Path) -> Covering:
    record = recorded(shop, "tests/returns/test_toy.py", COMPILED, shop.parent / "kept")
    assert record["unfit"] == {}
    return Covering({COMPILED: [record]})


def toy_change(before: str, after: str) -> Change:
    found = [
        change
        for change in changes_of("attribution/returns/toy.py", TOY.encode())
        if (change.before.split("  #")[0], change.after.split("  #")[0]) == (before, after)
    ]
    assert len(found) == 1
    return found[0]


def test_a_noticed_change_is_killed_and_an_unnoticed_one_survives(shop: Path, covering: Covering) -> None:
    expected = {
        ("return 7", "return 8"): "killed",
        ("if grams <= 500:", "if grams < 500:"): "survived",
        ("return len(parts) + 40", "return len(parts) - 40"): "no test",
    }
    for (before, after), outcome in expected.items():
        change = toy_change(before, after)
        assert judged(change, covering.tests_for(change), shop).outcome == outcome, before
    assert (shop / "attribution/returns/toy.py").read_text(encoding="utf-8") == TOY


def test_a_change_that_never_ends_is_killed_by_its_time(
    shop: Path, covering: Covering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mutants.judging.LEAST_SECONDS", 1.0)
    change = toy_change("litres -= 1", "litres += 1")
    assert judged(change, covering.tests_for(change), shop).outcome == "killed"


def test_a_fixture_of_a_file_counts_for_each_test_that_asks_for_it(covering: Covering) -> None:
    tests = covering.tests_for(toy_change("total = 0", "total = 1"))
    assert [test.name for test in tests] == ["tests/returns/test_toy.py::test_all_parts_weigh"]


def test_a_record_is_kept_until_what_it_depends_on_changes(shop: Path, covering: Covering, tmp_path: Path) -> None:
    copy, kept = tmp_path / "copy", tmp_path / "kept"
    shutil.copytree(shop, copy)
    shutil.copytree(shop.parent / "kept", kept)
    stored = kept / COMPILED / "tests.returns.test_toy.json"
    marked = json.loads(stored.read_text(encoding="utf-8")) | {"unfit": {"marked": "as kept"}}
    stored.write_text(json.dumps(marked), encoding="utf-8")
    assert recorded(copy, "tests/returns/test_toy.py", COMPILED, kept)["unfit"] == {"marked": "as kept"}
    (copy / "attribution/returns/toy.py").write_text(TOY + "\n\nMORE = 1\n", encoding="utf-8")
    assert recorded(copy, "tests/returns/test_toy.py", COMPILED, kept)["unfit"] == {}


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("y = a < b", {"y = a <= b", "y = a >= b"}),
        ("y = (a) >= (b)", {"y = (a) > (b)", "y = (a) < (b)"}),
        ("y = a is not b", {"y = a is b"}),
        ("y = a and not b", {"y = a or not b", "y = a and b"}),
        ("y = a - b", {"y = a + b"}),
        ("y = a[b:c]", {"y = a[b:c + 1]", "y = a[b:c - 1]"}),
        ("y = range(a, b)", {"y = range(a, b + 1)", "y = range(a, b - 1)"}),
        ("y = a[1]", {"y = a[2]", "y = a[0]"}),
        ("y = 1e-12", {"y = 1e-06"}),
        ("y = min(a, b)", {"y = max(a, b)"}),
        ('y = a.find(b, side="left")', {'y = a.find(b, side="right")'}),
        ("y = True", {"y = False"}),
        ("y += a", {"y -= a"}),
        # What says nothing about tests stays: texts, switches of other functions, types, lists put together.
        ('y = "a" + b', set()),
        ("y = a(strict=True)", set()),
        ("y: int | None = a", set()),
        ('y = f"{a + 1}"', set()),
        ("y = [a] + b", set()),
    ],
)
def test_a_line_is_changed_in_these_ways(line: str, after: set[str]) -> None:
    assert {change.after for change in changes_of("a.py", f"def f():\n    {line}\n".encode())} == after


@pytest.fixture(scope="module")
def per_file() -> dict[str, list[Change]]:
    return files_of(ROOT, list(CHAPTERS))


def test_changed_files_of_the_package_are_still_python(per_file: dict[str, list[Change]]) -> None:
    for change in drawn(per_file, 150, seed=2):
        assert change.before != change.after
        ast.parse(change.applied((ROOT / change.file).read_bytes()))


def test_a_sample_is_drawn_evenly_and_the_same_each_time(per_file: dict[str, list[Change]]) -> None:
    sample = drawn(per_file, 200, seed=5)
    assert sample == drawn(dict(reversed(per_file.items())), 200, seed=5)
    assert sample[:50] == drawn(per_file, 50, seed=5)
    assert len(set(sample)) == 200
    assert sample != drawn(per_file, 200, seed=6)
    counts = {file: sum(change.file == file for change in sample) for file in per_file}
    most = max(counts.values())
    assert all(count in {most, most - 1} or count == len(per_file[file]) for file, count in counts.items())


def test_work_on_one_file_leaves_the_draw_in_others_as_it_was(per_file: dict[str, list[Change]]) -> None:
    touched = "attribution/returns/worth.py"
    fewer = per_file | {touched: per_file[touched][1:]}
    others = [[change for change in drawn(of, 200, seed=5) if change.file != touched] for of in (per_file, fewer)]
    assert others[0] == others[1]


def test_changes_that_alter_nothing_are_changes_of_lines_that_are_there(per_file: dict[str, list[Change]]) -> None:
    possible = {(file, change.before, change.after) for file, changes in per_file.items() for change in changes}
    entries = equivalent_changes()
    assert set(entries) <= possible
    assert all(len(reason.split()) > 3 for reason in entries.values())


def test_a_copy_follows_the_tree_and_keeps_its_times(tmp_path: Path) -> None:
    copy = copied(ROOT, tmp_path / "copy")
    source = ROOT / "attribution/returns/terms.py"
    assert (copy / "attribution/returns/terms.py").stat().st_mtime_ns == source.stat().st_mtime_ns
    (copy / "attribution/returns/terms.py").write_text("changed", encoding="utf-8")
    (copy / "attribution/returns/gone.py").write_text("", encoding="utf-8")
    copied(ROOT, copy)
    assert (copy / "attribution/returns/terms.py").read_bytes() == source.read_bytes()
    assert not (copy / "attribution/returns/gone.py").exists()


@pytest.mark.parametrize(
    ("outcome", "accepted", "code"), [("killed", 0.9, 0), ("survived", 0.9, 1), ("survived", 0.0, 0)]
)
def test_a_share_below_the_accepted_one_fails(
    outcome: str,
    accepted: float,
    code: int,
    per_file: dict[str, list[Change]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ratchet = tmp_path / "ratchet.toml"
    ratchet.write_text(f"# Why.\nseed = 3\ncount = 4\nshare = {accepted}\n", encoding="utf-8")
    monkeypatch.setattr("tests.mutants.__main__.RATCHET", ratchet)
    monkeypatch.setattr("tests.mutants.__main__.WORK", tmp_path)
    monkeypatch.setattr("tests.mutants.__main__.Copies", OneCopy)
    monkeypatch.setattr("tests.mutants.__main__.files_of", lambda *_: per_file)
    monkeypatch.setattr("tests.mutants.__main__.covering", lambda copies: Covering({}))
    monkeypatch.setattr(
        "tests.mutants.__main__.judge", lambda sample, *_: [Verdict(change, outcome) for change in sample]
    )
    assert main([]) == code
    report = (tmp_path / "seed-3.txt").read_text(encoding="utf-8")
    assert report.count("attribution/") == 4
    main(["--accept", "--seed", "8"])
    share = 1.0 if outcome == "killed" else 0.0
    assert ratchet.read_text(encoding="utf-8") == f"# Why.\nseed = 8\ncount = 4\nshare = {share}\n"


class OneCopy(Copies):
    """The tree itself, which is only read."""

    def __init__(self, root: Path, folder: Path, workers: int) -> None:
        self.first = root


def test_a_constant_is_asked_of_the_functions_that_name_it() -> None:
    text = "LIMIT = 5\n\n\ndef other():\n    return 1\n\n\ndef within(x):\n    return x < LIMIT\n"
    found = {change.before: change.runs for change in changes_of("toy.py", text.encode())}
    assert found["LIMIT = 5"] == (8, 9)
    unused = changes_of("toy.py", b"LIMIT = 5\n")
    assert {change.runs for change in unused} == {(1, 2)}
