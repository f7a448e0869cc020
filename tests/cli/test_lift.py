"""``attribution lift`` and ``attribution init --lift-tests`` as a user meets them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from attribution.cli import main as cli
from attribution.incrementality.lift_checks import USED
from attribution.schema.tables import LIFT_TESTS
from tests.incrementality.lift_rows import changed, ghost, holdout, reported


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> tuple[int, str, str]:
    """Exit code and what was printed."""
    monkeypatch.setattr("sys.argv", ["attribution", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed = capsys.readouterr()
    return int(end.value.code or 0), printed.out, printed.err


def test_an_empty_table_with_comments_is_written_and_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = command(monkeypatch, capsys, "init", "--lift-tests")
    assert (code, out.split(".")[0]) == (0, "Wrote lift_tests")
    path = tmp_path / "lift_tests.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    assert head == ",".join(LIFT_TESTS.column_names)
    assert all(row.lstrip('"').startswith("# ") for row in rows)
    for word in (*LIFT_TESTS.column_names, *USED):
        assert any(f"# {word}: " in row for row in rows), word
    code, _, err = command(monkeypatch, capsys, "lift", path)
    assert code == 2
    assert "has no tests" in err
    # The examples are right: without their # they are tests.
    examples = [row.replace("# ", "", 1) for row in rows[-3:]]
    path.write_text("\n".join([head, *rows[:-3], *examples]), encoding="utf-8")
    code, out, _ = command(monkeypatch, capsys, "lift", path, "--json")
    assert code == 0
    assert [row["effect"] for row in json.loads(out)["lift_readings"]] == pytest.approx([300.0, 420.0])
    before = path.read_bytes()
    code, _, err = command(monkeypatch, capsys, "init", "--lift-tests", "--json")
    assert (code, path.read_bytes()) == (2, before)
    assert "lift_tests.csv is there already" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["init", "shop", "--lift-tests"], "writes a table of lift tests and no profile"),
        (["init", "--lift-tests", "--to", "no/such/folder.csv"], "cannot be written"),
        (["lift", "no.csv"], "does not exist"),
        (["lift", "no.toml"], "does not exist"),
        (["lift", "no.pdf"], "does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: Sequence[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err
    assert not list(tmp_path.iterdir())


def test_the_answer_comes_first_and_warnings_come_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tests.parquet"
    exposed = changed(changed(holdout(), 0, exposed=48_000), 1, exposed=2_000)
    pd.DataFrame([*exposed, *ghost()]).to_parquet(path)
    code, out, _ = command(monkeypatch, capsys, "lift", path)
    assert code == 0
    assert out.startswith(
        "display caused about 300 conversions (157 to 443), says test ghosts.\nvideo caused about 360"
    )
    assert "with 90 % intervals" in out
    assert "Warning: tests whose control was exposed, too" in out
    assert out.index("Note on spring: control was exposed, too") > out.index("Warning:")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_with_table_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "tests.csv", tmp_path / "out"
    pd.DataFrame(reported(effect=100, standard_error=90, spend=9_000)).to_csv(path, index=False)
    for _ in range(2):  # what it wrote itself is replaced
        code, printed, _ = command(monkeypatch, capsys, "lift", path, "--out", out)
        assert code == 0
        assert printed.endswith(f"The table, lift.md and lift.html are in {out}.\n")
    table = pd.read_parquet(out / "lift_readings.parquet")
    assert math.isinf(table["cost_per_incremental_high"].iloc[0])
    assert "cannot tell whether tv caused any conversions" in (out / "lift.md").read_text(encoding="utf-8")
    assert {"lift.html", "lift_readings.csv", "dictionary.csv", "manifest.json"} <= {
        each.name for each in out.iterdir()
    }
    code, printed, _ = command(monkeypatch, capsys, "lift", path, "--json")
    document = json.loads(printed)
    assert (document["out"], document["notes"]) == (None, [])
    assert document["lift_readings"][0]["cost_per_incremental_high"] is None
    path.write_text("test,design\na,holdout\n")
    before = sorted((each.name, each.stat().st_mtime_ns) for each in out.iterdir())
    assert command(monkeypatch, capsys, "lift", path, "--out", out)[0] == 2
    assert sorted((each.name, each.stat().st_mtime_ns) for each in out.iterdir()) == before
