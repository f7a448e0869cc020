"""Names in options: the same in any case, and said where the data do not have them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError

VISITS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b"],
        "touched_at": ["2026-03-01 10:00", "2026-03-02 10:00", "2026-03-02 10:00"],
        "channel": ["Paid Search", "(direct) / (none)", "paid_search"],
        "kind": ["Click", "click", "Impression"],
    }
)
ORDERS = pd.DataFrame({"customer_id": ["a", "b"], "converted_at": ["2026-03-03"] * 2, "kind": ["Order", "Lead"]})


def run(models: Any = ({"model": "LastTouch"},), touchpoints: pd.DataFrame = VISITS, **parts: Any) -> at.Outcome:
    tables = {"touchpoints": touchpoints, "conversions": ORDERS}
    return at.run_experiment(at.Experiment(name="shop", tables=tables, models=list(models), **parts))


def credit(outcome: at.Outcome) -> dict[str, float]:
    table = outcome.tables["credit"]
    return {channel: n for channel, n in zip(table["channel"], table["conversions"], strict=True) if n}


def warned(outcome: at.Outcome, check: str) -> list[str]:
    quality = outcome.tables["quality"]
    return quality.loc[(quality["check"] == check) & (quality["status"] == "warn"), "message"].tolist()


def test_direct_is_direct_however_a_product_calls_it() -> None:
    alone = VISITS[VISITS["customer_id"] == "a"]
    for outcome in (run([{"model": "LastNonDirect"}], alone), run(touchpoints=alone, journeys={"direct": "Drop"})):
        assert credit(outcome) == {"Paid Search": 1.0, "(unattributed)": 1.0}
        assert not warned(outcome, "option_names")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"journeys": {"direct": "drop", "direct_channels": ["direkt"]}},
            "'direkt'; correct the name: did you mean '(direct) / (none)'?",
        ),
        ({"models": [{"model": "LastNonDirect", "direct": ["Piad Search"]}]}, "did you mean 'Paid Search'?"),
    ],
)
def test_a_name_that_is_no_channel_is_said(parts: dict[str, Any], message: str) -> None:
    (said,) = warned(run(**parts), "option_names")
    assert message in said


def test_a_policy_for_what_is_not_there_is_said() -> None:
    clicks = VISITS.assign(channel=["mail", "tv", "tv"], kind="view")
    (said,) = warned(run(touchpoints=clicks, journeys={"direct": "drop_if_other"}), "option_names")
    assert "no channel is called 'direct'" in said
    (said,) = warned(run(touchpoints=clicks, journeys={"view_through": "clicks_only"}), "option_names")
    assert "their kinds are view" in said


def test_kinds_are_the_same_in_any_case() -> None:
    assert credit(run(journeys={"view_through": "clicks_only"})) == {"(direct) / (none)": 1.0, "(unattributed)": 1.0}
    assert credit(run(journeys={"conversion_kinds": ["ORDER"]})) == {"(direct) / (none)": 1.0}
    assert credit(run(journeys={"lookback_by_kind": {"IMPRESSION": 0.1}}))["(unattributed)"] == 1.0


def test_spellings_of_one_channel_are_said() -> None:
    (said,) = warned(run(), "channel_spellings")
    assert "'Paid Search', 'paid_search'" in said


@pytest.mark.parametrize("path", ["a → b", "a -> b", "a => b"])
def test_arrows_that_do_not_separate_are_refused(path: str) -> None:
    paths = pd.DataFrame({"path": [path, "c > d"], "conversions": [1, 1]})
    with pytest.raises(InputError, match="seems to divide paths"):
        at.build_journeys(at.load_sources(paths=paths))


@pytest.mark.parametrize(
    ("paths", "is_said"),
    [(["a | b", "b"], True), (["a | b", "a > b"], True), (["a, b > c", "c"], False), ([["a | b"], ["b"]], False)],
)
def test_marks_that_may_separate_are_said(paths: list[Any], is_said: bool) -> None:
    tables = {"paths": pd.DataFrame({"path": paths, "conversions": [1, 1]})}
    outcome = at.run_experiment(at.Experiment(name="shop", tables=tables, models=[{"model": "LastTouch"}]))
    assert bool(warned(outcome, "separator")) == is_said
