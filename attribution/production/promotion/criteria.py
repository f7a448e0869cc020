"""The criteria that a model must meet before it replaces another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from attribution.incrementality.lift_tests import check_each, written_rows
from attribution.incrementality.reported_effects import reported_effects
from attribution.schema.experiment import LiftTest, checked, read_toml
from attribution.schema.experiment.settings import Number, Settings

Share = Annotated[Number, Field(ge=0, le=1)]


class Criteria(Settings):
    """The criteria that a model must meet.

    Parameters
    ----------
    laws_broken : int
        Laws of `attribution.check_model` that do not hold.
    outcome_leak : float
        Share of credit that moves if only the values of conversions change.
    stability_share_moved : float
        Share of credit that moves between two fits, one on each half of the window.
    transfer_share_moved : float
        Share of credit that moves when the model is fitted again on the window.
    placebo_excess : float
        Share of credit of a channel that does nothing, beyond its share of touchpoints.
    interval_width : float
        Mean width of the intervals of channels' credit, as a share of all credit.
    lift_tests_z : float
        Largest distance of credit from the result of a lift test, in standard errors.
    lift_tests : list, or path of a file with such rows, relative to the file of criteria
        With the columns of the table ``lift_tests``, each of design ``reported``: what the channel caused in the
        whole log, on the days of the test, or in the whole window where it has none.
    draws, seed
        Of the intervals, and of the positions of the placebo.
    """

    laws_broken: Annotated[int, Field(ge=0)] = 0
    outcome_leak: Share = 1e-9
    stability_share_moved: Share = 0.25
    transfer_share_moved: Share = 0.25
    placebo_excess: Share = 0.1
    interval_width: Share = 0.25
    lift_tests_z: Annotated[Number, Field(gt=0)] = 3.0
    lift_tests: tuple[LiftTest, ...] = ()
    draws: Annotated[int, Field(ge=50)] = 200
    seed: Annotated[int, Field(ge=0)] = 0


def read_criteria(path: Path | None) -> Criteria:
    """Criteria from a TOML file; the defaults without one.

    Raises
    ------
    InputError
        If the file is missing, not TOML, or names an unknown criterion.
    """
    if path is None:
        return Criteria()
    document = dict(read_toml(path)[1])
    source = document.get("lift_tests")
    if isinstance(source, str):
        document["lift_tests"] = check_each(written_rows(source, path.parent), source)
    criteria = checked(Criteria, document, origin=str(path))
    reported_effects(criteria.lift_tests)
    return criteria
