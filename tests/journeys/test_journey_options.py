"""Journey options: each by hand, all of them in any combination against the slow twin, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

import attribution as at
from attribution.errors import InputError
from attribution.journeys import Journeys
from attribution.schema.experiment import Period
from tests.scale import examples
from tests.twins import journeys as twin
from tests.twins.options import DAY, Sale, build_with
from tests.twins.strategies import histories, periods

MODES = ("reset", "cumulative", "first_only")
START = pd.Timestamp("2024-01-01")


# ---------------------------------------------------------------- by hand


def touchpoints(*rows: str) -> pd.DataFrame:
    """Anna's touchpoints from texts such as ``3 mail impression cost=2``: day, channel, kind (click), the rest."""
    parsed = []
    for row in rows:
        day, channel, *rest = row.split()
        kind = next((word for word in rest if "=" not in word), "click")
        further = dict(word.split("=") for word in rest if "=" in word)
        parsed.append({"customer_id": "anna", "touched_at": when(day), "channel": channel, "kind": kind, **further})
    table = pd.DataFrame(parsed)
    if "cost" in table:
        table["cost"] = table["cost"].astype(float)
    return table


def when(day: str | float) -> pd.Timestamp:
    return START + pd.Timedelta(days=float(day))


def conversions(*days: float, **columns: Sequence[Any]) -> pd.DataFrame:
    """Anna's conversions on these days, worth 1 each."""
    table = {"customer_id": "anna", "converted_at": [when(day) for day in days], "value": 1.0, **columns}
    return pd.DataFrame(table)


def build(touches: Any, converted: pd.DataFrame, **options: Any) -> Journeys:
    return at.build_journeys(at.load_sources(touches, converted), **options)


def paths(journeys: Journeys) -> list[str]:
    """The path of each converting journey in order of time, then those that did not convert in brackets."""
    found = []
    for chunk in journeys:
        assert chunk.ended_at is not None
        for j in range(len(chunk)):
            path = " ".join(journeys.channels[c] for c in chunk.channel[chunk.start[j] : chunk.stop[j]])
            converted = bool(chunk.conversions[j])
            found.append((not converted, int(chunk.ended_at[j]), path if converted else f"[{path}]"))
    return [path for _, _, path in sorted(found)]


def costs(journeys: Journeys) -> list[float]:
    """What each touchpoint of a converting journey cost."""
    laid_out = [chunk.flatten(chunk.converting) for chunk in journeys]
    return [cost for chunk in laid_out if chunk.cost is not None for cost in chunk.cost.tolist()]


def count(journeys: Journeys, check: str, table: str = "touchpoints") -> float:
    (found,) = [finding for finding in journeys.findings if (finding.check, finding.table) == (check, table)]
    return found.count


def test_a_kind_has_a_window_of_its_own() -> None:
    # 9 days before the conversion an impression is too old for 7 days, a click is not for 30.
    touches = touchpoints("1 display impression", "1 search", "8 video impression")
    assert paths(build(touches, conversions(10))) == ["search display video"]
    journeys = build(touches, conversions(10), lookback_by_kind={"impression": 7})
    assert paths(journeys) == ["search video", "[display]"]


def test_a_window_is_inclusive_to_the_microsecond() -> None:
    touches = touchpoints("1 display impression", "1 video impression")
    touches.loc[0, "touched_at"] -= pd.Timedelta(microseconds=1)
    assert paths(build(touches, conversions(8), lookback_by_kind={"impression": 7})) == ["video", "[display]"]


def test_a_channel_has_a_window_of_its_own_longer_than_the_others() -> None:
    touches = touchpoints("1 fair", "1 search", "38 mail")
    assert paths(build(touches, conversions(41), lookback_by_channel={"fair": 90})) == ["fair mail", "[search]"]


@pytest.mark.parametrize(
    ("kind_days", "channel_days", "path"),
    [(5, 20, ""), (20, 5, ""), (20, 10, "tv"), (60, 40, "tv")],
)
def test_of_two_windows_the_shorter_counts(kind_days: float, channel_days: float, path: str) -> None:
    touches = touchpoints("1 tv impression")
    options = {"lookback_by_kind": {"impression": kind_days}, "lookback_by_channel": {"tv": channel_days}}
    assert paths(build(touches, conversions(11), **options))[0] == path


def test_where_there_is_one_window_of_its_own_the_default_does_not_shorten_it() -> None:
    # 40 days before: the click by post has 60 days by its channel, the impression in search 50 by its kind, and
    # the click in search neither, so 30.
    touches = touchpoints("1 post", "1 search", "1 search impression")
    windows = {"lookback_by_channel": {"post": 60}, "lookback_by_kind": {"impression": 50}}
    assert paths(build(touches, conversions(41), **windows)) == ["post search", "[search]"]


def test_windows_of_touchpoints_without_a_kind() -> None:
    touches = touchpoints("1 mail", "1 search", "1 shop impression")
    touches.loc[0, "kind"] = None
    journeys = build(touches, conversions(11), lookback_by_kind={"click": 5}, lookback_days=20)
    assert paths(journeys) == ["mail shop", "[search]"]


def test_an_infinite_window_of_its_own() -> None:
    touches = touchpoints("1 fair", "1 search", "900 mail")
    journeys = build(touches, conversions(910), lookback_by_channel={"fair": float("inf")})
    assert paths(journeys) == ["fair mail", "[search]"]
    assert journeys.lookback_days is None


def test_touchpoints_out_of_their_own_window_are_counted_where_conversions_look_back() -> None:
    touches = touchpoints("1 display impression", "2 search", "9 mail")
    journeys = build(touches, conversions(7, 12), conversions="cumulative", lookback_by_kind={"impression": 8})
    # Display: 6 days before the first conversion, 11 before the second.
    assert paths(journeys) == ["display search", "search mail"]
    assert count(journeys, "removed_expired") == 1


def test_the_longest_window_of_a_journey_decides_when_it_ends() -> None:
    # The fair of day 1 reaches to day 21, though the mail after it only to day 7.
    touches = touchpoints("1 fair", "5 mail", "20 mail", "23 mail", "60 tv")
    journeys = build(touches, conversions(61), lookback_days=2, lookback_by_channel={"fair": 20})
    assert paths(journeys) == ["tv", "[fair mail mail]", "[mail]"]


def test_what_is_too_old_for_every_window_is_not_counted_as_expired() -> None:
    # At the second conversion the mail of day 2 is 11 days old and the longest window 10.
    touches = touchpoints("2 mail", "4 tv impression", "6 mail")
    options = {"conversions": "cumulative", "lookback_days": 10, "lookback_by_kind": {"impression": 1}}
    journeys = build(touches, conversions(12, 13), **options)
    assert paths(journeys) == ["mail mail", "mail", "[tv]"]
    assert count(journeys, "removed_expired") == 2  # the impression, once for each conversion


def test_a_journey_without_conversion_keeps_what_its_windows_hold_together() -> None:
    # Each follows within the window of the one before, whatever its distance from the last.
    touches = touchpoints("1 search", "3 display impression", "6 mail")
    options = {"conversions": "cumulative", "lookback_days": 4, "lookback_by_kind": {"impression": 5}}
    journeys = build(touches, conversions(0.5), **options)
    assert paths(journeys) == ["", "[search display mail]"]
    assert count(journeys, "removed_expired") == 0


def test_a_journey_without_conversion_is_split_where_its_own_windows_end() -> None:
    # The first impression reaches to day 3; the click of day 5 to day 15, so day 14 belongs to it.
    touches = touchpoints("1 display impression", "5 search", "14 display impression", "40 mail")
    journeys = build(touches, conversions(41), lookback_days=10, lookback_by_kind={"impression": 2})
    assert paths(journeys) == ["mail", "[display]", "[search display]"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("equal", ["display search video", "tv"]),
        ("clicks_only", ["search", ""]),
        ("clicks_dominate", ["search", "tv"]),
    ],
)
def test_view_through(policy: str, expected: list[str]) -> None:
    touches = touchpoints("1 display impression", "2 search", "3 video impression", "5 tv impression")
    journeys = build(touches, conversions(4, 6), view_through=policy)
    assert paths(journeys) == expected
    if policy != "equal":
        assert count(journeys, "removed_views") == 4 - sum(len(path.split()) for path in expected)


def test_any_kind_but_an_impression_dominates() -> None:
    touches = touchpoints("1 display impression", "2 shop offline")
    assert paths(build(touches, conversions(4), view_through="clicks_dominate")) == ["shop"]


def test_a_journey_of_impressions_alone_is_no_journey_if_clicks_only_count() -> None:
    journeys = build(touchpoints("1 tv impression", "50 mail"), conversions(51), view_through="clicks_only")
    assert paths(journeys) == ["mail"]
    assert journeys.total("nulls") == 0


def test_view_through_weight_halves_what_an_impression_gets() -> None:
    # Weights 1, 1/2, 1/2 divide the conversion into 1/2, 1/4, 1/4; alone, an impression still gets all.
    touches = touchpoints("1 search", "2 tv impression", "3 video impression", "5 tv impression")
    journeys = build(touches, conversions(4, 6), view_through_weight=0.5)
    credit = at.Linear().fit(journeys).credit_.to_frame().set_index("channel")
    assert credit["conversions"].drop("(unattributed)").to_dict() == {"search": 0.5, "tv": 1.25, "video": 0.25}
    shares = at.Linear().fit(journeys).credit_journeys(journeys)
    assert shares["credit"].tolist() == [0.5, 0.25, 0.25, 1.0]


def test_view_through_weight_multiplies_the_weights_of_the_model() -> None:
    # Half-life 1 day, ages 1 and 2: weights 1/2 (click) and 1/4 · 1/5 (impression).
    journeys = build(touchpoints("2 tv impression", "3 mail"), conversions(4), view_through_weight=0.2)
    credit = at.TimeDecay(half_life_days=1).fit(journeys).credit_
    assert credit.conversions.tolist() == pytest.approx([0.5 / 0.55, 0.05 / 0.55, 0])


def test_view_through_weight_leaves_the_chain_of_markov_alone() -> None:
    touches = touchpoints("1 search", "2 tv impression", "5 tv")
    full, light = (build(touches, conversions(4, 6), view_through_weight=q) for q in (1, 0.1))
    assert at.Markov().fit(full).credit_.conversions.tolist() == at.Markov().fit(light).credit_.conversions.tolist()


def test_view_through_weight_where_touchpoints_have_no_kind() -> None:
    touches = touchpoints("1 search", "2 tv").drop(columns="kind")
    credit = at.Linear().fit(build(touches, conversions(4), view_through_weight=0.5)).credit_
    assert credit.conversions.tolist() == [0.5, 0.5, 0]


MAILS = ("1 mail cost=1", "1.01 mail cost=2", "1.02 mail cost=4", "2 mail cost=8", "3 shop cost=16", "4 mail cost=32")


@pytest.mark.parametrize(
    ("options", "path", "summed"),
    [
        ({"dedupe": "none"}, "mail mail mail mail shop mail", [1, 2, 4, 8, 16, 32]),
        ({"dedupe": "consecutive"}, "mail shop mail", [15, 16, 32]),
        # A hundredth of a day is 14.4 minutes: within 30, and within 30 of the one before rather than the first.
        ({"dedupe": "gap"}, "mail mail shop mail", [7, 8, 16, 32]),
        ({"dedupe": "gap", "dedupe_gap_minutes": 14.4}, "mail mail shop mail", [7, 8, 16, 32]),
        ({"dedupe": "gap", "dedupe_gap_minutes": 14.3}, "mail mail mail mail shop mail", [1, 2, 4, 8, 16, 32]),
        ({"dedupe": "unique"}, "mail mail mail mail shop mail", [1, 2, 4, 8, 16, 32]),
    ],
)
def test_dedupe(options: dict[str, Any], path: str, summed: list[float]) -> None:
    journeys = build(touchpoints(*MAILS), conversions(5), **options)
    assert paths(journeys) == [path]
    assert costs(journeys) == summed
    if options["dedupe"] != "none":
        assert count(journeys, "removed_repeats") == 6 - len(summed)


def test_a_gap_is_counted_from_the_touchpoint_before_even_if_that_was_merged() -> None:
    rows = [f"{1 + n / 72} mail" for n in range(10)]  # every 20 minutes, 3 hours in all
    assert paths(build(touchpoints(*rows), conversions(5), dedupe="gap")) == ["mail"]


def test_the_first_of_what_was_merged_gives_the_time() -> None:
    journeys = build(touchpoints("1 mail", "2 mail"), conversions(5), dedupe="consecutive")
    (credit,) = at.LastTouch().fit(journeys).credit_journeys(journeys).to_dict("records")
    assert (credit["touched_at"], credit["position"]) == (when(1), 1)


def test_unique_drops_copies_of_a_row_and_what_they_cost() -> None:
    rows = ("1 mail cost=1", "1 mail cost=1", "1 mail cost=2", "1 mail cost=1 campaign=sale", "2 mail cost=1")
    journeys = build(touchpoints(*rows), conversions(5), dedupe="unique")
    assert sorted(costs(journeys)) == [1, 1, 1, 2]
    assert count(journeys, "removed_repeats") == 1


@pytest.mark.parametrize("dedupe", ["consecutive", "gap"])
def test_what_differs_in_campaign_kind_or_any_other_column_is_no_repeat(dedupe: str) -> None:
    rows = ("1 mail", "1 mail campaign=sale", "1 mail impression", "1 mail device=phone")
    table = touchpoints(*(f"{row} cost=1" for row in rows))
    spec = at.TableSpec(source=table, columns={name: name for name in table})  # a further column has to be named
    assert costs(build(spec, conversions(5), dedupe=dedupe)) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("policy", "expected", "removed"),
    [
        ("keep", ["mail direct", "Direct direct", "[direct]"], 0),
        ("drop_if_other", ["mail", "Direct direct", "[direct]"], 1),
        ("drop", ["mail", ""], 4),
    ],
)
def test_direct(policy: str, expected: list[str], removed: int) -> None:
    touches = touchpoints("1 mail", "2 direct", "4 Direct", "5 direct", "7 direct")
    journeys = build(touches, conversions(3, 6), direct=policy)
    assert paths(journeys) == expected
    if removed:
        assert count(journeys, "removed_direct") == removed
    assert count(journeys, "without_touchpoint", "conversions") == (policy == "drop")


def test_direct_channels_say_what_is_direct() -> None:
    touches = touchpoints("1 direct", "2 (none)", "3 App")
    options = {"direct": "drop", "direct_channels": ["(NONE)", "app"]}
    assert paths(build(touches, conversions(4), **options)) == ["direct"]


@pytest.mark.parametrize(
    ("transform", "path"),
    [
        ("unique", "mail mail shop mail"),
        ("exposure", "mail shop mail"),
        ("first", "mail shop"),
        ("frequency", "mail (3) shop (1)"),
    ],
)
def test_transform(transform: str, path: str) -> None:
    touches = touchpoints("1 mail", "2 mail campaign=sale", "3 shop", "4 mail impression")
    journeys = build(touches, conversions(5), transform=transform)
    assert paths(journeys) == [path]
    if transform != "unique":
        assert count(journeys, "removed_transform") == 4 - {"exposure": 3}.get(transform, 2)


@pytest.mark.parametrize(
    ("times", "name"), [(9, "mail (9)"), (10, "mail (10+)"), (11, "mail (10+)"), (25, "mail (10+)")]
)
def test_ten_touchpoints_or_more_are_not_told_apart(times: int, name: str) -> None:
    rows = [f"{1 + n / 100} mail" for n in range(times)]
    assert paths(build(touchpoints(*rows), conversions(5), transform="frequency")) == [name]


def test_channels_whose_names_look_numbered_stay_apart() -> None:
    rows = pd.DataFrame(
        {
            "customer_id": "anna",
            "touched_at": [when(day) for day in (1, 2, 3, 4)],
            "channel": ["mail", "mail", "mail (2)", "邮件 🎉"],
        }
    )
    journeys = build(rows, conversions(5), transform="frequency")
    assert paths(journeys) == ["mail (2) mail (2) (1) 邮件 🎉 (1)"]
    assert at.Linear().fit(journeys).credit_.conversions.max() == pytest.approx(1 / 3)
    assert len(set(journeys.channels)) == len(journeys.channels)


def test_numbered_channels_are_those_of_one_journey() -> None:
    touches = touchpoints("1 mail", "2 mail", "4 mail")
    journeys = build(touches, conversions(3, 5), transform="frequency")
    assert paths(journeys) == ["mail (2)", "mail (1)"]
    credit = at.LastTouch().fit(journeys).credit_.to_frame().set_index("channel")["conversions"]
    assert credit[credit > 0].to_dict() == {"mail (1)": 1.0, "mail (2)": 1.0}


def test_max_touchpoints_keeps_the_last() -> None:
    touches = touchpoints("1 mail", "2 shop", "3 search", "5 tv", "50 a", "51 b", "52 c")
    journeys = build(touches, conversions(4, 6), max_touchpoints=2)
    assert paths(journeys) == ["shop search", "tv", "[b c]"]
    assert count(journeys, "removed_transform") == 2


def test_what_stays_keeps_its_own_cost() -> None:
    journeys = build(touchpoints("1 mail cost=1", "2 shop cost=2", "3 tv cost=4"), conversions(4), max_touchpoints=2)
    assert costs(journeys) == [2, 4]


def test_open_journeys_can_be_left_out() -> None:
    # The data end on day 60: the journey of day 5 closed on day 35, that of day 40 would on day 70.
    touches = touchpoints("5 mail", "40 shop", "60 tv")
    touches.loc[2, "customer_id"] = "bo"
    converted = pd.DataFrame({"customer_id": ["bo"], "converted_at": [when(60)]})
    kept, dropped = (build(touches, converted, open_journeys=policy) for policy in ("keep", "drop"))
    assert paths(kept) == ["tv", "[mail]", "[shop]"]
    assert (count(kept, "open_journeys", "journeys"), kept.total("nulls")) == (1, 2)
    assert paths(dropped) == ["tv", "[mail]"]
    assert (count(dropped, "open_journeys", "journeys"), dropped.total("nulls")) == (0, 1)
    assert count(dropped, "dropped_open_journeys", "journeys") == 1


def test_only_conversions_of_new_customers_as_the_first_in_the_data() -> None:
    touches = touchpoints("1 mail", "3 shop", "5 tv")
    journeys = build(touches, conversions(2, 4), customers="new")
    assert paths(journeys) == ["mail", "[tv]"]  # the second conversion has used the shop
    assert journeys.total("conversions") == journeys.total("value") == 1
    assert count(journeys, "not_new", "conversions") == 1


def test_only_conversions_of_new_customers_as_the_log_says() -> None:
    touches = touchpoints("1 mail", "3 shop", "5 tv")
    converted = conversions(2, 4, 6, is_new_customer=pd.array([False, True, None], dtype="boolean"))
    assert paths(build(touches, converted, customers="new")) == ["shop"]
    converted = conversions(2, 4, 6, is_new_customer=pd.array([None, True, None], dtype="boolean"))
    assert paths(build(touches, converted, customers="new")) == ["mail", "shop"]


def test_a_conversion_that_is_not_of_a_new_customer_is_the_first_only_one_all_the_same() -> None:
    converted = conversions(2, 4, is_new_customer=[False, True])
    journeys = build(touchpoints("1 mail", "3 shop"), converted, customers="new", conversions="first_only")
    assert paths(journeys) == []


@pytest.mark.parametrize("ids", [{}, {"conversion_id": ["x", "x"]}])
def test_conversions_that_differ_in_new_customer_alone_have_one_order(ids: dict[str, Any]) -> None:
    # Under one id the first of the two is kept, else both are; either way the order of rows decides nothing.
    converted = conversions(3, 3, is_new_customer=[False, True], **ids)
    touches = touchpoints("1 mail")
    assert paths(build(touches, converted, customers="new")) == paths(build(touches, converted[::-1], customers="new"))


def test_conversion_kinds_that_are_not_asked_for_are_as_if_they_had_not_been() -> None:
    touches = touchpoints("1 mail", "3 shop")
    converted = conversions(2, 4, kind=["lead", "order"])
    assert paths(build(touches, converted)) == ["mail", "shop"]
    journeys = build(touches, converted, conversion_kinds=["order"])
    assert paths(journeys) == ["mail shop"]
    assert count(journeys, "other_kinds", "conversions") == 1
    # The data then end on day 3, and mail and shop may still convert.
    journeys = build(touches, converted, conversion_kinds=["lead"], lookback_days=0.5)
    assert paths(journeys) == ["", "[mail]", "[shop]"]
    assert count(journeys, "open_journeys", "journeys") == 1


def test_the_first_conversion_of_the_kind_is_that_of_a_new_customer() -> None:
    converted = conversions(2, 4, 6, kind=["lead", "won'd", "won'd"])
    journeys = build(touchpoints("1 mail", "5 shop"), converted, conversion_kinds=["won'd"], customers="new")
    assert paths(journeys) == ["mail"]


def test_several_kinds_and_rows_without_one() -> None:
    converted = conversions(2, 4, 6, kind=["lead", None, "order"])
    journeys = build(touchpoints("1 mail"), converted, conversion_kinds=["order", "lead"])
    assert journeys.total("conversions") == 2
    assert count(journeys, "other_kinds", "conversions") == 1


def test_the_order_of_options() -> None:
    # Repeats are merged before direct traffic goes, and channels counted before the journey is shortened.
    touches = touchpoints("1 tv impression", "2 mail", "3 direct", "4 mail", "5 shop")
    options = {"view_through": "clicks_dominate", "dedupe": "consecutive", "direct": "drop_if_other"}
    assert paths(build(touches, conversions(6), **options)) == ["mail mail shop"]
    options |= {"transform": "frequency", "max_touchpoints": 1}
    assert paths(build(touches, conversions(6), **options)) == ["shop (1)"]
    # A click on direct traffic beats the view first, and is all there is then.
    touches = touchpoints("1 tv impression", "2 direct")
    assert paths(build(touches, conversions(6), view_through="clicks_dominate", direct="drop_if_other")) == ["direct"]


# ---------------------------------------------------------------- against the twin

KINDS = ("click", "impression", "open", "email")
SALE_KINDS = ("order", "lead")


@st.composite
def logs(draw: DrawFn) -> tuple[dict[str, twin.History], frozenset[str]]:
    """Histories with kinds of conversions and new customers told, and the columns that the tables shall have."""
    history = draw(histories(unit=DAY))
    columns = frozenset(draw(st.sets(st.sampled_from(("campaign", "kind", "cost", "sale_kind", "is_new")))))
    # Code 0 is a missing kind and comes before a click, to which the twin takes it to be equal: never both.
    plain = draw(st.sampled_from((None, "click")))

    def touch(given: twin.Touch) -> twin.Touch:
        return replace(
            given,
            campaign=given.campaign if "campaign" in columns else None,
            kind=(plain if given.kind in (None, "click") else given.kind) if "kind" in columns else None,
            cost=given.cost if "cost" in columns else 0.0,
        )

    def sale(given: twin.Conv) -> Sale:
        kind = draw(st.sampled_from((None, *SALE_KINDS))) if "sale_kind" in columns else None
        is_new = draw(st.sampled_from((None, False, True))) if "is_new" in columns else None
        return Sale(given.at, given.conversion_id, given.value, kind, is_new)

    return {c: ([touch(t) for t in mine], [sale(v) for v in sold]) for c, (mine, sold) in history.items()}, columns


@st.composite
def options(draw: DrawFn, history: dict[str, twin.History], columns: frozenset[str]) -> dict[str, Any]:
    """Any combination of options that fits the log."""
    lengths = st.integers(1, 8).map(float) | st.just(float("inf"))
    channels = sorted({t.channel for touches, _ in history.values() for t in touches})
    kinds = sorted({t.kind for touches, _ in history.values() for t in touches if t.kind is not None})
    sale_kinds = sorted({v.kind for _, sold in history.values() for v in sold if v.kind is not None})
    choices: dict[str, st.SearchStrategy[Any]] = {
        "lookback_days": lengths,
        "customers": st.sampled_from(("all", "new", "new")),
        "view_through": st.sampled_from(("equal", "clicks_only", "clicks_dominate", "clicks_dominate")),
        "dedupe": st.sampled_from(("none", "consecutive", "gap", "unique")),
        "direct": st.sampled_from(("keep", "drop_if_other", "drop")),
        "direct_channels": st.lists(st.sampled_from(("Direct", "display", "nowhere")), min_size=1),
        "transform": st.sampled_from(("unique", "exposure", "first", "frequency")),
        "max_touchpoints": st.integers(1, 3),
        "open_journeys": st.sampled_from(("keep", "drop")),
    }
    if channels:
        choices["lookback_by_channel"] = st.dictionaries(st.sampled_from(channels), lengths)
    if kinds:
        choices["lookback_by_kind"] = st.dictionaries(st.sampled_from(kinds), lengths)
    if sale_kinds:
        choices["conversion_kinds"] = st.lists(st.sampled_from(sale_kinds), min_size=1)
    asked = {name: draw(values) for name, values in choices.items() if draw(st.booleans())}
    asked["conversions"] = draw(st.sampled_from(MODES))
    if asked.get("direct", "keep") == "keep":
        asked.pop("direct_channels", None)
    if asked.get("dedupe") == "gap" and draw(st.booleans()):
        asked["dedupe_gap_minutes"] = draw(st.sampled_from((0.5, 24 * 60, 2.5 * 24 * 60)))
    return asked


def frames(history: dict[str, twin.History], columns: frozenset[str], *, integer_ids: bool) -> dict[str, pd.DataFrame]:
    """The log as tables."""
    names = {c: sorted(history).index(c) if integer_ids else c for c in history}
    touches = [(names[c], t) for c, (mine, _) in history.items() for t in mine]
    sold = [(names[c], v) for c, (_, mine) in history.items() for v in mine]
    given: dict[str, pd.DataFrame] = {}
    if touches:
        given["touchpoints"] = pd.DataFrame(
            {
                "customer_id": [c for c, _ in touches],
                "touched_at": np.array([t.at for _, t in touches], dtype="datetime64[us]"),
                "channel": [t.channel for _, t in touches],
                **{
                    name: pd.array([getattr(t, name) for _, t in touches], dtype="string")
                    for name in sorted(columns & {"campaign", "kind"})
                },
                **({"cost": [t.cost for _, t in touches]} if "cost" in columns else {}),
            }
        )
    given["conversions"] = pd.DataFrame(
        {
            "customer_id": [c for c, _ in sold],
            "converted_at": np.array([v.at for _, v in sold], dtype="datetime64[us]"),
            "value": [v.value for _, v in sold],
        }
    )
    if sold[0][1].conversion_id is not None:
        given["conversions"]["conversion_id"] = [v.conversion_id for _, v in sold]
    if "sale_kind" in columns:
        given["conversions"]["kind"] = pd.array([v.kind for _, v in sold], dtype="string")
    if "is_new" in columns:
        given["conversions"]["is_new_customer"] = pd.array([v.is_new for _, v in sold], dtype="boolean")
    return given


Listed = Counter[tuple[Any, ...]]


def listed(journeys: Journeys) -> Listed:
    """Every journey in full, as a multiset."""
    found: Listed = Counter()
    for chunk in journeys:
        assert chunk.customer_ids is not None
        assert chunk.touched_at is not None
        customers = chunk.customer_ids.to_pylist()
        campaign, kind = (journeys.dimensions.decode(chunk.code, name) for name in ("campaign", "kind"))
        for j in range(len(chunk)):
            touches = tuple(
                (
                    int(chunk.touched_at[i]),
                    journeys.channels[chunk.channel[i]],
                    campaign[i],
                    kind[i],
                    0.0 if chunk.cost is None else float(chunk.cost[i]),
                )
                for i in range(chunk.start[j], chunk.stop[j])
            )
            converted = chunk.conversion[j] >= 0
            assert chunk.conversions[j] == converted
            assert chunk.nulls[j] == (not converted)
            ended = int(chunk.ended_at[j]) if converted else None
            found[customers[chunk.customer[j]], touches, ended, float(chunk.value[j]), bool(chunk.is_open[j])] += 1
    return found


def expected(result: twin.TwinResult, history: dict[str, twin.History], *, integer_ids: bool) -> Listed:
    found: Listed = Counter()
    for journey in result.journeys:
        customer = sorted(history).index(journey.customer) if integer_ids else journey.customer
        touches = tuple((t.at, t.channel, t.campaign, t.kind, t.cost) for t in journey.touches)
        ended = None if journey.conversion is None else journey.conversion.at
        value = 0.0 if journey.conversion is None else journey.conversion.value
        found[customer, touches, ended, value, journey.open] += 1
    return found


FINDINGS = {
    ("removed_expired", "touchpoints"): "removed_expired",
    ("removed_views", "touchpoints"): "removed_views",
    ("removed_repeats", "touchpoints"): "removed_repeats",
    ("removed_direct", "touchpoints"): "removed_direct",
    ("removed_transform", "touchpoints"): "removed_transform",
    ("dropped_open_journeys", "journeys"): "dropped_open",
    ("not_new", "conversions"): "not_new",
    ("other_kinds", "conversions"): "other_kinds",
    ("ties", "touchpoints"): "ties",
    ("without_touchpoint", "conversions"): "without_touchpoint",
    ("open_journeys", "journeys"): "open",
    ("after_first_conversion", "touchpoints"): "dropped_touchpoints_after_first",
    ("after_first_conversion", "conversions"): "dropped_conversions_after_first",
    ("outside_period", "conversions"): "conversions_outside_period",
    ("outside_period", "journeys"): "journeys_outside_period",
}


@examples(27)
@given(st.data(), logs(), periods(unit=DAY), st.booleans(), st.integers(1, 3), st.integers(1, 5))
def test_journeys_with_options_equal_their_twin(
    data: st.DataObject,
    log: tuple[dict[str, twin.History], frozenset[str]],
    period: tuple[int, int] | None,
    integer_ids: bool,
    partitions: int,
    batch_rows: int,
) -> None:
    history, columns = log
    assume(any(sold for _, sold in history.values()))
    asked = data.draw(options(history, columns), label="options")
    engine = at.DuckDBEngine(batch_rows=batch_rows, partitions=partitions)
    sources = at.load_sources(**frames(history, columns, integer_ids=integer_ids), engine=engine)
    bounds = None if period is None else [pd.Timestamp(edge, unit="us").to_pydatetime() for edge in period]
    slow = build_with(history, period=period, **asked)
    journeys = at.build_journeys(
        sources, period=None if bounds is None else Period(start=bounds[0], end=bounds[1]), **asked
    )
    assert listed(journeys) == expected(slow, history, integer_ids=integer_ids)
    for finding in journeys.findings:
        name = FINDINGS.get((finding.check, finding.table))
        assert name is None or finding.count == slow.counts[name], finding
    told = {FINDINGS.get((finding.check, finding.table)) for finding in journeys.findings}
    untold = [name for name in FINDINGS.values() if slow.counts[name] and name not in told]
    assert not untold


@examples(20)
@given(st.data(), histories(unit=DAY), st.sampled_from((*MODES, "cumulative")))
def test_windows_of_their_own_equal_their_twin(
    data: st.DataObject, history: dict[str, twin.History], mode: str
) -> None:
    """Few lengths, so that windows of kinds and channels often meet, and no other option beside them."""
    assume(any(sold for _, sold in history.values()) and any(touches for touches, _ in history.values()))
    plain = {
        c: (
            [twin.Touch(t.at, t.channel, kind=t.kind or "click") for t in mine],
            [Sale(v.at, None, v.value) for v in sold],
        )
        for c, (mine, sold) in history.items()
    }
    lengths = st.integers(1, 5).map(float)
    touches = [touch for mine, _ in plain.values() for touch in mine]
    asked = {
        "conversions": mode,
        "lookback_days": data.draw(lengths),
        "lookback_by_channel": {name: data.draw(lengths) for name in sorted({t.channel for t in touches})[::2]},
        "lookback_by_kind": {name: data.draw(lengths) for name in sorted({t.kind for t in touches})[::2]},
    }
    journeys = at.build_journeys(at.load_sources(**frames(plain, frozenset({"kind"}), integer_ids=True)), **asked)
    slow = build_with(plain, **asked)
    assert listed(journeys) == expected(slow, plain, integer_ids=True)
    if mode == "cumulative":
        assert count(journeys, "removed_expired") == slow.counts["removed_expired"]


# ---------------------------------------------------------------- laws


MODELS = (
    at.FirstTouch(),
    at.LastTouch(),
    at.LastNonDirect(),
    at.Linear(),
    at.PositionBased(),
    at.TimeDecay(half_life_days=2),
    at.Markov(),
    at.Shapley(),
)


@examples(7)
@given(st.data(), logs(), st.sampled_from((1.0, 0.25)))
def test_credit_adds_up_to_the_conversions_that_count(
    data: st.DataObject, log: tuple[dict[str, twin.History], frozenset[str]], weight: float
) -> None:
    history, columns = log
    assume(any(sold for _, sold in history.values()))
    asked = data.draw(options(history, columns), label="options")
    if asked.get("view_through") != "clicks_only":
        asked["view_through_weight"] = weight
    journeys = at.build_journeys(at.load_sources(**frames(history, columns, integer_ids=False)), **asked)
    sold = [journey.conversion for journey in build_with(history, **asked).journeys if journey.conversion is not None]
    credit = at.attribute(journeys, MODELS)
    for _, rows in credit.table.groupby("model"):
        assert rows["conversions"].sum() == pytest.approx(len(sold))
        assert rows["value"].sum() == pytest.approx(sum(sale.value for sale in sold))
    for _, rows in at.journey_credit(journeys, credit.models).groupby("model"):
        per_conversion = rows.groupby(["customer_id", "conversion_id"])[["credit", "credited_value"]].sum()
        assert len(per_conversion) == len(sold)
        assert per_conversion["credit"].to_numpy() == pytest.approx(np.ones(len(sold)))
        assert sorted(per_conversion["credited_value"]) == pytest.approx(sorted(sale.value for sale in sold))
        assert set(rows["channel"]) <= {*journeys.channels, "(unattributed)"}


COMBINATIONS: tuple[dict[str, Any], ...] = (
    {"view_through": "clicks_dominate", "dedupe": "consecutive", "direct": "drop_if_other", "transform": "exposure"},
    {"lookback_by_kind": {"impression": 2}, "lookback_by_channel": {"x": 20}, "dedupe": "gap", "max_touchpoints": 3},
    {"customers": "new", "conversion_kinds": ["order"], "dedupe": "unique", "transform": "frequency"},
    {"open_journeys": "drop", "direct": "drop", "transform": "first", "view_through_weight": 0.3},
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("asked", COMBINATIONS, ids=lambda asked: "-".join(asked))
def test_neither_row_order_nor_batches_nor_partitions_change_a_byte(asked: dict[str, Any], mode: str) -> None:
    rng = np.random.default_rng(3)
    n, m = 500, 60
    hour = np.timedelta64(1, "h")
    touches = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "b" * 40, "ç", "d"], n, p=[0.7, 0.1, 0.1, 0.1]),
            "touched_at": np.datetime64(0, "us") + rng.integers(0, 60 * 24, n) * hour,
            "channel": rng.choice(["x", "y", "direct"], n),
            "campaign": rng.choice(["one", "two"], n),
            "kind": rng.choice(["click", "impression", "call"], n),
            "cost": rng.integers(0, 3, n) / 10,
        }
    )
    converted = pd.DataFrame(
        {
            "customer_id": rng.choice(["a", "ç", "d", "only conversions"], m),
            "converted_at": np.datetime64(0, "us") + rng.integers(0, 60 * 24, m) * hour,
            "value": rng.integers(1, 9, m) / 10,
            "kind": rng.choice(["order", "lead"], m),
        }
    )
    results = []
    for seed, (batch_rows, partitions) in enumerate(((1, 1), (7, 2), (1_000_000, 1), (50, 4))):
        engine = at.DuckDBEngine(batch_rows=batch_rows, partitions=partitions)
        shuffled = (table.sample(frac=1, random_state=seed) for table in (touches, converted))
        journeys = at.build_journeys(
            at.load_sources(*shuffled, engine=engine), conversions=mode, lookback_days=10, **asked
        )
        credit = at.attribute(journeys, MODELS)
        shares = at.journey_credit(journeys, credit.models)
        results.append((credit.table.to_csv(), shares.to_csv(), listed(journeys), journeys.findings))
    assert results[0][2]
    assert all(result == results[0] for result in results[1:])


def test_options_that_ask_for_nothing_change_nothing() -> None:
    touches = touchpoints("1 mail cost=1", "1 mail cost=1", "2 direct impression cost=2")
    nothing = {
        "lookback_by_kind": {"impression": 30},
        "lookback_by_channel": {"mail": 30},
        "view_through": "equal",
        "view_through_weight": 1,
        "dedupe": "none",
        "direct": "keep",
        "transform": "unique",
        "max_touchpoints": 1 << 70,
        "open_journeys": "keep",
        "customers": "all",
    }
    for mode in MODES:
        plain, same = (build(touches, conversions(3, 4), conversions=mode, **asked) for asked in ({}, nothing))
        assert listed(plain) == listed(same)


def test_options_from_an_experiment_file(tmp_path: Path) -> None:
    rows = ("1 tv impression", "2 mail", "3 mail", "4 direct", "5 shop", "6 mail", "9 tv impression")
    touchpoints(*rows).to_csv(tmp_path / "t.csv", index=False)
    conversions(8, 10, kind=["order", "lead"]).to_csv(tmp_path / "c.csv", index=False)
    (tmp_path / "e.toml").write_text(
        """
        tables = { touchpoints = { source = "t.csv" }, conversions = { source = "c.csv" } }
        models = [{ model = "Linear" }]
        [journeys]
        conversion_kinds    = ["order"]
        customers           = "new"
        lookback_days       = 20
        lookback_by_channel = { mail = 5.5 }
        lookback_by_kind    = { impression = 1 }
        dedupe              = "gap"
        dedupe_gap_minutes  = 1440
        direct              = "drop_if_other"
        transform           = "exposure"
        max_touchpoints     = 3
        open_journeys       = "drop"
        """
    )
    outcome = at.run_experiment(tmp_path / "e.toml")
    # Too old for the conversion: tv (6 days) and the mail of day 2 (6); mail shop mail are left, tv of day 9 is open.
    credit = outcome.tables["credit"].set_index("channel")["conversions"]
    assert credit[credit > 0].to_dict() == {"mail": pytest.approx(2 / 3), "shop": pytest.approx(1 / 3)}
    quality = outcome.tables["quality"].set_index(["check", "table"])["count"]
    assert quality["other_kinds", "conversions"] == quality["removed_direct", "touchpoints"] == 1


# ---------------------------------------------------------------- what is refused

T, C = ("1 mail", "2 tv impression"), (3.0,)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"lookback_by_kind": {"click": 0}}, "lookback_by_kind.click"),
        ({"lookback_by_kind": {"click": -1}}, "lookback_by_kind.click"),
        ({"lookback_by_channel": {"mail": float("nan")}}, "lookback_by_channel.mail"),
        ({"lookback_by_channel": {"mail": "soon"}}, "lookback_by_channel.mail"),
        ({"lookback_by_channel": 7}, "lookback_by_channel"),
        ({"lookback_by_channel": {"mial": 7}}, "'mial'.*Allowed: mail, tv.*did you mean 'mail'"),
        ({"lookback_by_kind": {"impresion": 7}}, "'impresion'.*Allowed: click, impression.*did you mean 'impression'"),
        ({"view_through": "clicks"}, "'equal', 'clicks_only' or 'clicks_dominate'.*Given: 'clicks'"),
        ({"view_through_weight": 0}, "view_through_weight"),
        ({"view_through_weight": 1.5}, "view_through_weight"),
        ({"view_through_weight": float("nan")}, "view_through_weight.*number"),
        ({"view_through_weight": "half"}, "view_through_weight.*number"),
        ({"view_through_weight": 0.5, "view_through": "clicks_only"}, "view_through_weight.*clicks_only"),
        ({"dedupe": "all"}, "'none', 'consecutive', 'gap' or 'unique'"),
        ({"dedupe_gap_minutes": 5}, "dedupe_gap_minutes.*dedupe = 'gap'"),
        ({"dedupe": "consecutive", "dedupe_gap_minutes": 5}, "dedupe_gap_minutes.*dedupe = 'gap'"),
        ({"dedupe": "gap", "dedupe_gap_minutes": 0}, "dedupe_gap_minutes"),
        ({"dedupe": "gap", "dedupe_gap_minutes": -5}, "dedupe_gap_minutes"),
        ({"dedupe": "gap", "dedupe_gap_minutes": float("inf")}, "dedupe_gap_minutes"),
        ({"dedupe": "gap", "dedupe_gap_minutes": float("nan")}, "dedupe_gap_minutes.*number"),
        ({"dedupe": "gap", "dedupe_gap_minutes": True}, "dedupe_gap_minutes.*number"),
        ({"direct": "remove"}, "'keep', 'drop_if_other' or 'drop'"),
        ({"direct": "drop", "direct_channels": []}, "direct_channels"),
        ({"direct_channels": ["web"]}, "direct_channels needs direct"),
        ({"max_touchpoints": True}, "max_touchpoints"),
        ({"lookback_by_kind": {"click": True}}, "lookback_by_kind.click: must be a number"),
        ({"segment": "country"}, "segment is an option of an experiment"),
        ({"viewthrough": 1}, "unknown key 'viewthrough'.*view_through"),
        ({"transform": "frequncy"}, "'unique', 'exposure', 'first' or 'frequency'"),
        ({"max_touchpoints": 0}, "max_touchpoints"),
        ({"max_touchpoints": -1}, "max_touchpoints"),
        ({"max_touchpoints": 1.5}, "max_touchpoints"),
        ({"open_journeys": "close"}, "'keep' or 'drop'"),
        ({"customers": "old"}, "'all' or 'new'"),
        ({"conversion_kinds": []}, "conversion_kinds"),
        ({"conversion_kinds": ["order"]}, "no column 'kind'"),
        ({"conversions": "last"}, "'reset', 'cumulative' or 'first_only'"),
    ],
    ids=str,
)
def test_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(touchpoints(*T), conversions(*C), **asked)


def test_a_conversion_kind_that_does_not_occur_is_refused() -> None:
    with pytest.raises(InputError, match=r"'oder'.*Allowed: lead, order.*did you mean 'order'"):
        build(touchpoints(*T), conversions(3, 4, kind=["order", "lead"]), conversion_kinds=["order", "oder"])


@pytest.mark.parametrize("name", ["kind", "channel"])
def test_a_window_for_what_no_touchpoint_has_is_refused(name: str) -> None:
    options = {f"lookback_by_{name}": {"click": 7}}
    with pytest.raises(InputError, match=f"lookback_by_{name} names 'click', but no touchpoint has this {name}"):
        build(touchpoints(*T).drop(columns="kind"), conversions(*C), **options)
    with pytest.raises(InputError, match="no touchpoint has this"):
        build(None, conversions(*C), **options)


@pytest.mark.parametrize(
    "asked",
    [
        {"lookback_by_kind": {"click": 7}},
        {"lookback_by_channel": {"mail": 7}},
        {"dedupe": "gap"},
        {"dedupe": "gap", "dedupe_gap_minutes": 5},
        {"open_journeys": "drop"},
    ],
    ids=str,
)
def test_days_and_minutes_are_refused_where_times_are_positions(asked: dict[str, Any]) -> None:
    touches = pd.DataFrame({"customer_id": 1, "touched_at": [1, 2], "channel": ["mail", "tv"], "kind": "click"})
    converted = pd.DataFrame({"customer_id": [1], "converted_at": [3]})
    with pytest.raises(InputError, match="needs timestamps; the times of this log are integers"):
        build(touches, converted, **asked)


def test_options_without_days_work_on_positions() -> None:
    touches = pd.DataFrame(
        {
            "customer_id": 1,
            "touched_at": range(1, 7),
            "channel": ["tv", "mail", "mail", "direct", "shop", "mail"],
            "kind": ["impression", *["click"] * 5],
        }
    )
    converted = pd.DataFrame({"customer_id": [1], "converted_at": [7]})
    asked = {"view_through": "clicks_only", "dedupe": "consecutive", "direct": "drop"}
    assert paths(build(touches, converted, **asked)) == ["mail shop mail"]
    assert paths(build(touches, converted, transform="first", max_touchpoints=2)) == ["direct shop"]


@pytest.mark.parametrize(
    "asked",
    [
        {"lookback_days": 7},
        {"lookback_by_kind": {"click": 7}},
        {"lookback_by_channel": {"a": 7}},
        {"conversions": "cumulative"},
        {"conversion_kinds": ["order"]},
        {"customers": "new"},
        {"view_through": "clicks_only"},
        {"view_through_weight": 0.5},
        {"dedupe": "consecutive"},
        {"direct": "drop"},
        {"transform": "first"},
        {"max_touchpoints": 3},
        {"open_journeys": "drop"},
    ],
    ids=str,
)
def test_options_are_refused_for_aggregated_paths(asked: dict[str, Any]) -> None:
    sources = at.load_sources(paths=pd.DataFrame({"path": ["a > b"], "conversions": [1]}))
    with pytest.raises(InputError, match=f"{next(iter(asked))} (changes|needs) .*aggregated paths"):
        at.build_journeys(sources, **asked)


def test_options_that_ask_for_nothing_are_fine_for_aggregated_paths() -> None:
    sources = at.load_sources(paths=pd.DataFrame({"path": ["a > b"], "conversions": [1]}))
    assert at.build_journeys(sources, transform="unique", dedupe="none", lookback_by_kind={}).total("conversions") == 1


@pytest.mark.parametrize("longest", [1e15, 1e300])
def test_gaps_and_windows_longer_than_time_itself(longest: float) -> None:
    touches = touchpoints("1 mail", "2 mail")
    assert paths(build(touches, conversions(3), dedupe="gap", dedupe_gap_minutes=longest)) == ["mail"]
    assert paths(build(touches, conversions(3), lookback_by_channel={"mail": longest})) == ["mail mail"]
