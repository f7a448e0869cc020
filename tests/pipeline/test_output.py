"""The output folder: replaced whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from attribution.errors import InputError
from attribution.pipeline.output import replaced_folder


def folder_with(path: Path, text: str) -> Path:
    path.mkdir(parents=True)
    (path / "old.txt").write_text(text, encoding="utf-8")
    (path / "manifest.json").write_text('{"kind": "run"}', encoding="utf-8")
    return path


def test_an_existing_folder_is_replaced_whole(tmp_path: Path) -> None:
    out = folder_with(tmp_path / "out", "old")
    with replaced_folder(out, kind="run") as folder:
        (folder / "new.txt").write_text("new", encoding="utf-8")
        assert (out / "old.txt").exists()
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_folder_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    out = folder_with(tmp_path / "out", "old")

    def write_and_fail() -> None:
        with replaced_folder(out, kind="run") as folder:
            (folder / "new.txt").write_text("new", encoding="utf-8")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert (out / "old.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_swap_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old folder is aside already when the new one cannot take its place."""
    out = folder_with(tmp_path / "out", "old")
    rename = Path.rename

    def fail_once(self: Path, target: Path) -> Path:
        if target == out and not self.name.endswith(".old"):
            raise OSError(5, "the disk went away")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(OSError, match="went away"), replaced_folder(out, kind="run") as folder:
        (folder / "new.txt").write_text("new", encoding="utf-8")
    assert (out / "old.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_process_left_beside_is_put_back_and_cleared(tmp_path: Path) -> None:
    """Killed between the two steps of the swap: the old folder waits beside."""
    out = tmp_path / "out"
    folder_with(tmp_path / ".out.old", "old")
    folder_with(tmp_path / ".out.new", "half")
    with pytest.raises(RuntimeError), replaced_folder(out, kind="run"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "old.txt"]
    folder_with(tmp_path / ".out.new", "half")
    with replaced_folder(out, kind="run"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["manifest.json"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    out = folder_with(tmp_path / "out", "old")
    with replaced_folder(out, kind="run") as folder:
        (folder / "new.txt").write_text("new", encoding="utf-8")
        with (
            pytest.raises(InputError, match="another process is writing the output folder"),
            replaced_folder(out, kind="run"),
        ):
            pass
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    out = folder_with(tmp_path / "out", "old")
    with pytest.raises(InputError, match=r"No space left on device.*unchanged"), replaced_folder(out, kind="run"):
        raise OSError(28, "No space left on device")
    with pytest.raises(FileNotFoundError), replaced_folder(out, kind="run"):
        (tmp_path / "input that is not there").read_text()
    assert (out / "old.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_missing_parents_are_made_and_vanish_with_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    with pytest.raises(RuntimeError), replaced_folder(out, kind="run"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with replaced_folder(out, kind="run"):
        pass
    assert out.is_dir()


def test_a_folder_that_holds_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    data = folder_with(tmp_path / "data", "input")
    for keep in (data, data / "old.txt"):
        with (
            pytest.raises(InputError, match="has files that this command reads"),
            replaced_folder(data, [keep], kind="run"),
        ):
            raise AssertionError("never entered")
    assert (data / "old.txt").read_text(encoding="utf-8") == "input"
