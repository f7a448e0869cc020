"""Lift tests that are refused, each with the reason in words."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.incrementality.lift_checks import USED
from attribution.incrementality.lift_tests import read_lift_tests
from attribution.schema.experiment import LiftTest
from attribution.schema.tables import LIFT_TESTS
from tests.incrementality.lift_rows import Row, changed, geo, ghost, holdout, reported, two_arms, variants

REFUSED: dict[str, tuple[list[Row], str]] = {
    "no design": (changed(holdout(), design=None), "'spring' has no design.*Allowed: holdout, ghost_ads"),
    "a misspelled design": (holdout(design="holdouts"), "unknown design. Given: holdouts.*did you mean 'holdout'"),
    "two designs": ([*holdout(), *ghost(test="spring", channel="video")], "several values of design"),
    "two channels": (changed(holdout(), 1, channel="mail"), "several values of channel. Given: video, mail"),
    "no channel": (holdout(channel=None), "has no channel"),
    "no days": (holdout(first_day=None, last_day=None), "needs first_day and last_day"),
    "half of the days": (reported(first_day="2024-03-01"), "needs first_day and last_day. Given: 2024-03-01 and None"),
    "days in the wrong order": (holdout(last_day="2024-02-01"), "ends before it begins"),
    "outcomes before the end": (holdout(outcome_until="2024-03-10"), "counts no conversions of its last days"),
    "a scale of nothing": (holdout(scale=0), "scale must be above 0"),
    "more conversions than customers": (
        changed(holdout(), 1, conversions=20_001),
        "more conversions than customers. Given: 20,001 of 20,000.*count each customer once",
    ),
    "more exposed than customers": (changed(ghost(), 0, exposed=80_001), "more exposed than customers"),
    "more conversions than exposed": (
        changed(ghost(), 0, conversions_of_exposed=24_001),
        "more conversions_of_exposed than exposed",
    ),
    "half a customer": (changed(holdout(), 0, customers=0.5, conversions=0), "customers must be a whole number"),
    "no customers": (changed(holdout(), 0, customers=0, conversions=0), "wrong number of customers.*above 0"),
    "no conversions column": (changed(holdout(), 1, conversions=None), "lacks conversions in 1 of 2 rows"),
    "one arm": (holdout()[:1], "one arm only. Given: no control"),
    "one arm in a segment": (variants()[:3], "one arm only in segment 'desktop'"),
    "an unknown arm": (changed(holdout(), 0, arm="treated"), "unknown arm. Given: treated.*Allowed: test, control"),
    "no arm": (changed(holdout(), 0, arm=None), "unknown arm. Given: none"),
    "an arm twice": ([*holdout(), holdout()[0]], "two rows of the same arm. Given: arm = test"),
    "a segment here and there": (changed(variants(), 0, segment=None), "a segment in some rows alone"),
    "spend in control": (changed(holdout(), 1, spend=5), "has spend in control"),
    "value of one arm": (changed(holdout(), 0, value=5), "has value in some rows alone"),
    "a deviation of no value": (changed(holdout(), value_sd=5), "has value_sd without value"),
    "too few conversions": (
        two_arms({"customers": 90, "conversions": 5}, {"customers": 90, "conversions": 4}),
        "too few conversions to read. Given: 9 in both arms together",
    ),
    "arms of other sizes": (
        holdout(planned_share=0.21),
        "arms of other sizes than planned, by more than chance.*Given: 20 % in control, planned 21 %",
    ),
    "a planned share of everybody": (holdout(planned_share=1), "planned_share must lie between 0 and 1"),
    "ghosts of other sizes": (
        changed(ghost(), 1, exposed=6_500),
        "exposes its arms unequally, by more than chance.*Given: 30 % of test, 32.5 % of control",
    ),
    "nobody exposed": (changed(ghost(), 1, exposed=0, conversions_of_exposed=0), "an arm without exposed customers"),
    "control exposed as much": (changed(holdout(), exposed=10_000), "exposes control as much as test"),
    "exposed against unexposed": (
        changed(changed(holdout(), 0, arm="exposed"), 1, arm="unexposed"),
        "exposed with customers who were not. Exposure is not given by chance.*It would have shown 240 conversions "
        r"caused \(standard error 112\)",
    ),
    "exposed against unexposed without counts": (
        changed(changed(holdout(), 0, arm="exposed"), 1, arm="not exposed", customers=None),
        "closer to buying. Given: exposed, not_exposed",
    ),
    "exposed against unexposed under other names": (
        changed(changed(holdout(), 0, exposed=80_000), 1, exposed=0),
        "looks like a comparison of exposed with unexposed customers.*It would have shown 240.*set planned_share",
    ),
    "a geo test without regions": (
        holdout(design="geo"),
        "geo test without regions.*look far too sure. It would have shown 240 conversions",
    ),
    "regions in a holdout": (
        changed(geo(), design="holdout"),
        "has regions, but design 'holdout' counts customers.*It would have shown 140 conversions",
    ),
    "an unknown phase": (changed(geo(), 0, phase="after"), "unknown phase. Given: after.*Allowed: before, during"),
    "a region in both arms": (changed(geo(), 0, arm="control"), "a region in both arms. Given: city 0"),
    "a region without before": (geo()[1:], "a region without both phases. Given: city 0"),
    "few regions": (
        [row for row in geo() if row["region"] != "city 7"],
        "too few regions. Given: 4 in test, 3 in control.*4 or more per arm",
    ),
    "a column of another design": (holdout(effect=3), "a column 'effect', which design 'holdout' does not read"),
    "a form that is a channel": (holdout(what="form"), "a column 'what', which design 'holdout' does not read"),
    "two reports": ([*reported(), *reported()], "has 2 rows.*one row for design 'reported'"),
    "no error": (reported(standard_error=None), "needs an effect and its error. Given: effect"),
    "two errors": (reported(low=100, high=500), "needs an effect and its error. Given: effect, high, low"),
    "an error of nothing": (reported(standard_error=0), "standard_error must be above 0. Given: 0"),
    "ends in the wrong order": (
        reported(standard_error=None, low=500, high=100),
        "low, effect and high must rise. Given: 500, 300, 100",
    ),
    "an effect outside": (reported(standard_error=None, low=301, high=400), "low, effect and high must rise"),
    "a lift without conversions": (
        reported(effect=None, standard_error=None, lift=0.1, lift_low=0.0, lift_high=0.2),
        "lift, lift_low, lift_high and conversions of the test arm",
    ),
    "a lift below nothing": (
        reported(effect=None, standard_error=None, lift=0.1, lift_low=-1, lift_high=0.2, conversions=50),
        "lift_low must be above -1",
    ),
    "a level of nothing": (reported(level=0.9), "a level without an interval"),
    "a level above 1": (reported(standard_error=None, low=1, high=500, level=90), "level must lie between 0 and 1"),
    "tests that overlap": (
        [*holdout(), *holdout(test="again", first_day="2024-03-14", last_day="2024-03-20")],
        "lift tests 'again' and 'spring' of channel 'video' overlap",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trusted_is_refused(case: str) -> None:
    rows, says = REFUSED[case]
    with pytest.raises(InputError, match=says):
        read_lift_tests(pd.DataFrame(rows))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            [*holdout(), *holdout(test="again", first_day="2024-03-15", last_day="2024-03-20")], id="one after another"
        ),
        pytest.param([*holdout(campaign="a"), *holdout(test="again", campaign="b")], id="of two campaigns"),
        pytest.param([*holdout(segment="north"), *holdout(test="again", segment="south")], id="of other customers"),
        pytest.param([*holdout(), *variants(channel="video")], id="of a creative"),
        pytest.param([*holdout(), *reported(design="on_off", channel="video")], id="days on and off"),
        pytest.param(changed(changed(holdout(planned_share=0.2), 0, exposed=80_000), 1, exposed=0), id="all exposed"),
        pytest.param(holdout(planned_share=0.2)[::-1], id="control first"),
        pytest.param(reported(effect=-40), id="a negative effect"),
    ],
)
def test_what_can_be_trusted_is_not(rows: list[Row]) -> None:
    assert len(read_lift_tests(pd.DataFrame(rows))) == len({row["test"] for row in rows})


def test_a_row_of_a_file_has_the_columns_of_the_table() -> None:
    assert tuple(LiftTest.model_fields) == LIFT_TESTS.column_names
    assert {name for names in USED.values() for name in names} < set(LIFT_TESTS.column_names)


def test_a_file_of_toml_is_read_as_the_table_is(tmp_path: Path) -> None:
    path = tmp_path / "tests.toml"
    path.write_text(
        '[[lift_tests]]\ntest = "study"\nchannel = "tv"\ndesign = "reported"\neffect = 300\nstandard_error = 120\n'
    )
    (test,) = read_lift_tests(path)
    (same,) = read_lift_tests(pd.DataFrame(reported()))
    pd.testing.assert_frame_equal(test.rows, same.rows)
    path.write_text('[[lift_tests]]\ntest = "study"\nefect = 3\n')
    with pytest.raises(InputError, match=r"unknown key 'lift_tests.efect'.*did you mean 'effect'"):
        read_lift_tests(path)
    path.write_text("[budget]\ntotal = 3\n")
    with pytest.raises(InputError, match=r"has \[\[lift_tests\]\] and nothing else. Given: budget"):
        read_lift_tests(path)


def test_a_file_with_columns_of_its_own(tmp_path: Path) -> None:
    frame = pd.DataFrame(holdout()).rename(columns={"customers": "n", "conversions": "y"})
    frame["first_day"] = "01.03.2024"
    frame["last_day"] = "14.03.2024"
    frame["arm"] = [" Test", "CONTROL "]
    path = tmp_path / "tests.csv"
    frame.to_csv(path, index=False, sep=";")
    columns = {name: name for name in ("test", "channel", "design", "first_day", "last_day", "arm")}
    from attribution.schema.experiment import TableSpec

    spec = TableSpec(source=str(path), columns=columns | {"customers": "n", "conversions": "y"}, time_format="%d.%m.%Y")
    (test,) = read_lift_tests(spec)
    assert test.arms()["customers"].tolist() == [80_000, 20_000]
    assert (str(test.first_day), test.days) == ("2024-03-01", 14)
    with pytest.raises(InputError, match=r"no column 'custmers'.*did you mean 'customers'"):
        read_lift_tests(TableSpec(source=str(path), columns=columns | {"custmers": "n"}, time_format="%d.%m.%Y"))
