"""Commands and options that have another name now are refused with that name, and with nothing done."""

from __future__ import annotations

import pytest
import typer

from attribution.cli.main import COMMANDS, app
from attribution.schema.renames import RENAMED
from tests.cli.test_cli import call


@pytest.mark.parametrize(("old", "new"), RENAMED["command"].items())
def test_an_old_command_is_refused_with_its_new_name(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old not in COMMANDS
    assert new in COMMANDS
    assert call(monkeypatch, "--log", "text", old, "runs/shop") == 2
    assert capsys.readouterr().err == (f"attribution: there is no command {old!r}. Hint: it is called {new} now.\n")


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [(where.split()[1], *pair) for where, names in RENAMED.items() if " " in where for pair in names.items()],
)
@pytest.mark.parametrize("ending", ["", "=value"])
def test_an_old_option_is_refused_with_its_new_name(
    command: str, old: str, new: str, ending: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = typer.main.get_command(app)
    options = {option for one in group.commands[command].params for option in one.opts}  # type: ignore[attr-defined]  # of a group
    assert old not in options
    assert new in options
    assert call(monkeypatch, command, "name", old + ending) == 2
    assert f"it is called {new} now" in capsys.readouterr().err
