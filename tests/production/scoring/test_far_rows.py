"""A row far from all others has a wrong time: how far that is, and how it is named."""

from __future__ import annotations

import pandas as pd
import pytest

import attribution as at
from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.production.scoring.days import day_number
from attribution.production.scoring.takeback import MAX_GAP_DAYS, check_gaps


def log(touched: list[str], converted: list[str]) -> tuple[Sources, dict[int, str], dict[int, str]]:
    """One row at noon of each day; and the days, as a job counts them."""
    customers = [f"c{place}" for place in range(max(len(touched), len(converted)))]
    touchpoints = pd.DataFrame(
        {"customer_id": customers[: len(touched)], "touched_at": [f"{day} 12:00" for day in touched], "channel": "mail"}
    )
    conversions = pd.DataFrame(
        {
            "customer_id": customers[: len(converted)],
            "converted_at": [f"{day} 12:00" for day in converted],
            "conversion_id": [f"o{place}" for place in range(len(converted))],
        }
    )
    days = [{day_number(day): "1-1@0-0" for day in of} for of in (touched, converted)]
    return at.load_sources(touchpoints, conversions), days[0], days[1]


@pytest.mark.parametrize(
    ("touched", "converted", "gap"),
    [
        (["2024-01-01", "2024-01-11"], ["2024-01-21"], 10),  # ten days apart are near enough
        (["2024-01-01"], ["2024-01-01"], 0),  # one day has no others
        (["2023-01-01", "2023-01-02"], ["2024-06-01", "2024-06-02"], 10),  # two camps, and nobody alone
    ],
)
def test_rows_that_have_others_near_them_pass(touched: list[str], converted: list[str], gap: int) -> None:
    check_gaps(*log(touched, converted), gap)


def test_a_row_further_away_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="more than 9 days from all others") as refused:
        check_gaps(*log(["2024-01-01", "2024-01-02"], ["2024-01-12"]), 9)
    assert "conversion 'o0' at 2024-01-12 12:00:00" in str(refused.value)
    assert "touchpoint" not in str(refused.value)
    with pytest.raises(InputError, match="touchpoint of customer 'c0' at 1970-01-01 12:00:00"):
        check_gaps(*log(["1970-01-01", "2024-01-02"], ["2024-01-02"]), MAX_GAP_DAYS)
    assert MAX_GAP_DAYS == 400
    with pytest.raises(
        InputError, match="conversion 'o0' at 2024-02-01 12:00:00; touchpoint of customer 'c0' at 2024-01-01"
    ):
        check_gaps(*log(["2024-01-01"], ["2024-02-01"]), 30)


def test_of_many_far_rows_the_first_five_are_named() -> None:
    years = [f"20{year:02d}-01-01" for year in range(10, 16)]
    with pytest.raises(InputError) as refused:
        check_gaps(*log(["2024-01-01", "2024-01-02"], years), 300)
    text = str(refused.value)
    assert [f"'o{place}'" in text for place in range(6)] == [True] * 5 + [False]
    assert " …" in text
    with pytest.raises(InputError) as fewer:
        check_gaps(*log(["2024-01-01", "2024-01-02"], years[:5]), 300)
    assert " …" not in str(fewer.value)


def test_conversions_without_an_id_are_named_by_their_customer() -> None:
    touchpoints = pd.DataFrame({"customer_id": ["c"], "touched_at": ["2024-01-01 12:00"], "channel": "mail"})
    conversions = pd.DataFrame({"customer_id": ["d"], "converted_at": ["2024-02-01 12:00"]})
    days = ({day_number("2024-01-01"): "1-1@0-0"}, {day_number("2024-02-01"): "1-1@0-0"})
    with pytest.raises(
        InputError, match="conversion of customer 'd' at 2024-02-01 12:00:00; touchpoint of customer 'c'"
    ):
        check_gaps(at.load_sources(touchpoints, conversions), *days, 30)
