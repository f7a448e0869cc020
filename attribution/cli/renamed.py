"""Commands and options under the names that they had: refused with the name that they have."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.errors import InputError
from attribution.schema.renames import new_name


def refuse_old_names(arguments: Sequence[str], commands: Sequence[str]) -> None:
    """Raise `InputError` for a command line that uses an old name.

    Parameters
    ----------
    arguments : of the command line, without the program
    commands : that there are
    """
    command = next((word for word in arguments if word in commands or new_name("command", word)), None)
    if command is None:
        return
    renamed = new_name("command", command)
    if renamed is not None:
        raise InputError(f"there is no command {command!r}", hint=f"it is called {renamed} now")
    for argument in arguments:
        option = argument.partition("=")[0]
        renamed = new_name(f"command {command}", option)
        if renamed is not None:
            raise InputError(f"{command} has no option {option}", hint=f"it is called {renamed} now")
