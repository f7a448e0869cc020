"""The lint of what no rule reads: stray tags, macros, paid ids in unpaid channels, idle rules, shared ids."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.data.channels import ChannelRules, Rule, lint_channels
from attribution.data.loading.findings import Finding

SITE = "https://shop.example/"


def lint(check: str, *rows: dict[str, Any], rules: ChannelRules | None = None) -> list[tuple[Any, ...]]:
    """Source, medium, campaign, touchpoints and example of one check."""
    names = {name: None for row in rows for name in row}
    raw = pa.table({name: [row.get(name) for row in rows] for name in names})
    found = lint_channels(raw, rules or ChannelRules()).to_pylist()
    return [
        tuple(row[name] for name in ("source", "medium", "campaign", "touchpoints", "example"))
        for row in found
        if row["check"] == check
    ]


def query(text: str, touchpoints: int = 1) -> dict[str, Any]:
    return {"url": f"{SITE}?{text}", "touchpoints": touchpoints}


@pytest.mark.parametrize(
    "stray",
    [
        "utm_sorce=a",
        "utm-source=a",
        "utmsource=a",
        "UTM_Kampagne=a",
        "mtm_sorce=a",
        "xyzclid=1",
        "newclick_id=1",
        "ns_source=a",
    ],
)
def test_what_looks_like_a_tag_and_is_none(stray: str) -> None:
    assert lint("unread_tag", query(f"a=1&{stray}", 3), query("a=1")) == [(None, None, None, 3, stray)]


def test_a_misspelled_tag_comes_with_the_right_one() -> None:
    raw = pa.table(
        {"url": [f"{SITE}?utm_sorce=b", f"{SITE}?utm_sorce=a", f"{SITE}?utm_sorce="], "touchpoints": [1, 2, 4]}
    )
    (flaw,) = lint_channels(raw, ChannelRules()).to_pylist()
    assert (flaw["touchpoints"], flaw["example"]) == (3, "utm_sorce=a")
    assert flaw["message"] == (
        "the parameter 'utm_sorce' looks like a tag, and no rule reads it: did you mean 'utm_source'?"
    )


@pytest.mark.parametrize(
    "fine",
    [
        "utm_id=1",
        "mtm_cid=1",
        "at_variant=a",
        "q=utm_sorce",
        "source=a",
        "utmost=1",
        "gad_source=1",
        "to=https://b.org/?utm_x=1",
    ],
)
def test_what_is_known_or_no_tag_is_left_alone(fine: str) -> None:
    assert lint("unread_tag", query(f"a=1&{fine}")) == []


@pytest.mark.parametrize(
    ("source", "medium", "is_listed"),
    [
        ("facebook", "ads", True),
        ("google", "sem", True),
        ("google", "google ads", True),
        ("instagram", "sponsored_post", True),
        ("google", "organic", False),
        ("facebook", "post", False),
        ("facebook", "loads", False),
        ("facebook", "paid", False),
        ("somewhere", "ads", False),  # unmapped says so already
    ],
)
def test_mediums_that_look_paid_and_are_not_taken_for_it(source: str, medium: str, is_listed: bool) -> None:
    found = lint("unread_medium", {"utm_source": source, "utm_medium": medium, "touchpoints": 2})
    assert found == ([(source, medium, None, 2, None)] if is_listed else [])


@pytest.mark.parametrize(
    "macro",
    [
        *(
            "{{campaign.name}}",
            "{campaignid}",
            "${CAMPAIGN}",
            "__CAMPAIGN_NAME__",
            "x-__AID__",
            "%%CAMPAIGN%%",
            "[campaign_id]",
        ),
        *("brand_{keyword}", "<campaign>", "$$name$$"),
    ],
)
def test_placeholders_that_were_never_filled(macro: str) -> None:
    row = {"utm_source": "a", "utm_medium": "cpc", "utm_campaign": macro, "touchpoints": 4}
    assert lint("unfilled_macro", row) == [(None, None, macro.lower(), 4, f"utm_campaign={macro.lower()}")]
    in_url = {"url": f"{SITE}?utm_content={macro.replace('%', '%25')}", "touchpoints": 2}
    assert lint("unfilled_macro", in_url) == [(None, None, None, 2, f"utm_content={macro.lower()}")]


@pytest.mark.parametrize("name", ["spring__sale__x", "50 % off", "[de] brand", "a {b c} d", "100%", "__init", "a<b"])
def test_names_that_are_no_placeholders(name: str) -> None:
    assert lint("unfilled_macro", {"utm_source": "a", "utm_campaign": name, "touchpoints": 4}) == []


def test_a_click_id_that_is_a_placeholder_marks_an_ad_and_is_no_id() -> None:
    rows = [query("ttclid=__CLICKID__", 3), query("gclid={gclid}", 2), query("ttclid=real")]
    assert lint("unfilled_macro", *rows) == [
        (None, None, None, 3, "ttclid=__CLICKID__"),
        (None, None, None, 2, "gclid={gclid}"),
    ]
    raw = pa.table({"url": [row["url"] for row in rows]})
    assert at.data.channels.read_click_ids(raw)["click_id"].to_pylist() == [None, None, "real"]
    assert at.data.channels.derive_channels(raw, ChannelRules())["channel"].to_pylist() == [
        "Paid Social", "Paid Search", "Paid Social"
    ]  # fmt: skip


def test_paid_ids_beside_what_is_not_paid() -> None:
    rows = [
        query("gclid=1&utm_source=google&utm_medium=organic", 5),
        query("gclid=2&utm_source=google&utm_medium=cpc"),
        query("gclid=3&utm_source=google&utm_medium=display"),
        query("fbclid=4&utm_source=facebook&utm_medium=social"),
        query("msclkid=5&utm_source=letter&utm_medium=email", 7),
        query("gclid=6", 9),
    ]
    assert lint("paid_click_id", *rows) == [
        ("letter", "email", None, 7, "msclkid"),
        ("google", "organic", None, 5, "gclid"),
    ]
    rules = ChannelRules((Rule("Organic Search", source="google"),))
    assert lint("paid_click_id", rows[5], rules=rules) == [("google", "cpc", None, 9, "gclid")]
    # A channel that the log itself names.
    assert lint("paid_click_id", rows[5] | {"touchpoints": 0, "unpaid": 2}) == [("google", "cpc", None, 2, "gclid")]


def test_own_rules_that_match_nothing_are_named() -> None:
    rules = ChannelRules((Rule("A", medium="cpc"), Rule("B", source="google"), Rule("C", campaign=["x", "y*"])))
    row = {"utm_source": "google", "utm_medium": "cpc", "touchpoints": 3}
    assert lint("rule_without_hits", row, rules=rules) == [
        (None, None, None, 0, "campaign = x, y*"),
        (None, None, None, 0, "source = google"),
    ]
    # Rows that have a channel of their own ask no rule.
    assert len(lint("rule_without_hits", row, row | {"utm_campaign": "x", "touchpoints": 0}, rules=rules)) == 2


# ---------------------------------------------------------------- with the engine

ORDERS = pd.DataFrame({"customer_id": ["c0"], "converted_at": [pd.Timestamp("2026-03-05")], "value": [1.0]})


def load(**columns: list[Any]) -> at.Sources:
    number = len(next(iter(columns.values())))
    frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(number)], "touched_at": pd.Timestamp("2026-03-01")})
    return at.load_sources(frame.assign(**columns), ORDERS)


def finding(sources: at.Sources, check: str) -> Finding:
    return next(one for one in sources.findings if one.check == check)


def test_one_click_id_on_many_people() -> None:
    links = [f"{SITE}?gclid=SAME&page={place % 2}" for place in range(6)]
    others = [f"{SITE}?gclid=own{place}" for place in range(6)]
    shared = load(url=[*links, *others])
    assert [row for row in shared.channel_lint.to_pylist() if row["check"] == "shared_click_id"] == [
        {
            "check": "shared_click_id", "source": None, "medium": None, "campaign": None, "touchpoints": 6,
            "message": "one id of a click on 6 customers: a link that was shared or bookmarked, not as many clicks; "
            "leave these rows out with where, or take the id out of the link",
            "example": "gclid=SAME",
        }
    ]  # fmt: skip
    assert (finding(shared, "shared_click_id").status, finding(shared, "shared_click_id").example) == (
        "warn",
        "gclid=SAME",
    )
    assert finding(load(url=links[:4]), "shared_click_id").status == "pass"
    reloads = load(url=links, customer_id=["c0"] * 6)
    assert finding(reloads, "shared_click_id").status == "pass"
    # Ids that are several clicks' by design, and those of links that anybody may post.
    for name in ("gbraid", "fbclid", "srsltid"):
        assert finding(load(url=[f"{SITE}?{name}=SAME"] * 9), "shared_click_id").status == "pass"


@pytest.mark.parametrize("column", ["gclid", "awc", "click_id"])
def test_one_click_id_on_many_people_in_a_column_of_its_own(column: str) -> None:
    frame = pd.DataFrame(
        {"customer_id": range(7), "touched_at": pd.Timestamp("2026-03-01"), "channel": "ads", "id": "X"}
    )
    spec = at.TableSpec(
        source=frame, columns={name: name for name in ("customer_id", "touched_at", "channel")} | {column: "id"}
    )
    orders = pd.DataFrame({"customer_id": [1], "converted_at": [pd.Timestamp("2026-03-05")]})
    found = finding(at.load_sources(spec, orders), "shared_click_id")
    assert (found.status, found.example) == ("warn", f"{column}=X")


def test_a_channel_column_that_calls_ads_unpaid() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["c0", "c1", "c2"],
            "touched_at": pd.Timestamp("2026-03-01"),
            "channel": ["organic search", "Paid Search", None],
            "url": [f"{SITE}?gclid={place}&utm_campaign=a" for place in range(3)],
        }
    )
    spec = at.TableSpec(source=frame, columns={name: name for name in frame.columns})
    sources = at.load_sources(spec, ORDERS)
    assert finding(sources, "paid_click_id").status == "warn"
    (flaw,) = [row for row in sources.channel_lint.to_pylist() if row["check"] == "paid_click_id"]
    assert (flaw["touchpoints"], flaw["example"]) == (1, "gclid")


def test_columns_are_known_whatever_their_case_and_whoever_named_them() -> None:
    sources = load(ScCid=["1", None], MTM_Source=[None, "facebook"], pk_medium=[None, "paid"], Referrer=[None, None])
    rows = sources.engine.query("select channel from touchpoints order by customer_id")["channel"].to_pylist()
    assert rows == ["Paid Social", "Paid Social"]


@pytest.mark.parametrize(
    ("referrer", "landing", "is_own"),
    [
        ("checkout.shop.co.uk", "app.shop.co.uk", True),
        ("other.co.uk", "app.shop.co.uk", False),
        ("other.github.io", "shop.github.io", False),
        ("pay.shop.example", "www.shop.example", True),
    ],
)
def test_hosts_of_one_company_are_its_own_site(referrer: str, landing: str, is_own: bool) -> None:
    """Which part of a host a company has, the public suffix list says: under co.uk there are many."""
    found = lint("self_referral", {"referrer": f"https://{referrer}/", "url": f"https://{landing}/", "touchpoints": 4})
    assert [row[0] for row in found] == ([referrer] if is_own else [])
