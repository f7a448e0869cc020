"""A shop's first months: what `attribution monitor` waits for while there are too few days to compare."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from attribution import logs
from attribution.amounts import pluralise
from attribution.cli.console import print_json


@dataclass(frozen=True)
class TooFewDays(Exception):  # noqa: N818 – no error
    """There is nothing to compare yet, which is no error: the jobs of a new shop are to succeed.

    Attributes
    ----------
    subject : what is monitored
    days : how many days there are
    needed, what_for : how many it takes, and why
    begins : number of the first day that is compared, if every day follows; None where no day is known
    hint : how to begin earlier
    """

    subject: str
    days: int
    needed: int
    what_for: str
    begins: int | None
    hint: str

    def tell(self, *, as_json: bool) -> None:
        """Print what is waited for, and from which day on there is a comparison."""
        from attribution.production.refit import day_name

        begins = None if self.begins is None else day_name(self.begins)
        when = "" if begins is None else f" If every day follows, {begins} is the first that is compared."
        sentence = (
            f"{self.subject} has {self.days} of the {pluralise(self.needed, 'day')} that are needed: {self.what_for}. "
            f"Nothing is compared yet.{when} {self.hint}"
        )
        logs.write(sentence, days=self.days, days_needed=self.needed, begins=begins)
        logs.count(is_waiting=True, days=self.days, days_needed=self.needed)
        if as_json:
            head = {"out": None, "drifted": False, "is_waiting": True, "days": self.days, "days_needed": self.needed}
            print_json(head | {"begins": begins, "sentence": sentence})
        else:
            typer.echo(sentence)
