"""A model that is tried: it is left out where these journeys cannot teach it, and nothing is refused for its sake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from attribution.data.loading import Finding
from attribution.errors import InputError
from attribution.journeys import Journeys
from attribution.models.base import AttributionModel
from attribution.models.machinery import get_machinery

_LEAVE_OUT = ", or leave the model out"


@dataclass
class Trial:
    """The model, and why it was left out; as models are fitted in place, so this is noted in place.

    Attributes
    ----------
    model : what is tried
    refusal : why it cannot be learned from these journeys; None while nothing speaks against it
    """

    model: AttributionModel
    refusal: InputError | None = None

    @property
    def stands(self) -> bool:
        """Whether nothing has spoken against the model."""
        return self.refusal is None

    def prepare(self, journeys: Journeys) -> bool:
        """Whether the model can be prepared for ``journeys``."""
        with attempt(self.model, self):
            get_machinery(self.model).prepare(journeys)
        return self.stands

    def findings(self) -> list[Finding]:
        """Why the answer of the model is missing. What the data lack by their kind is no flaw of theirs."""
        if self.refusal is None:
            return []
        label = self.model.label
        problem = self.refusal.problem.replace(f"model {label!r}", label, 1)
        hint = (self.refusal.hint or "use more data").removesuffix(_LEAVE_OUT)
        values = "" if self.refusal.given is None else f" ({self.refusal.given})"
        message = f"there is no answer on what channels caused, because {problem}{values}: {hint}"
        # Only journeys that passed its check have been summed up.
        is_flaw = hasattr(self.model, "summary_")
        return [Finding("caused_left_out", "credit", "warn" if is_flaw else "pass", int(is_flaw), None, None, message)]


@contextlib.contextmanager
def attempt(model: AttributionModel, trial: Trial | None) -> Iterator[None]:
    """Note what speaks against the model of ``trial``; what speaks against any other is raised."""
    try:
        yield
    except InputError as error:
        if trial is None or model is not trial.model:
            raise
        # Its frames would keep journeys, and their files, for as long as the refusal is kept.
        trial.refusal = error.with_traceback(None)


def is_left_out(model: AttributionModel, trial: Trial | None) -> bool:
    """Whether it is the model of ``trial``, and something has spoken against it."""
    return trial is not None and model is trial.model and not trial.stands
