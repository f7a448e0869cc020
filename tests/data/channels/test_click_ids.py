"""Click ids with their kinds: from their own columns, and from the address that was landed on."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlsplit

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.data.channels import read_click_ids
from attribution.errors import InputError
from attribution.schema.clicks import CLICK_IDS

KINDS = list(CLICK_IDS)
# As platforms make them, and a few with what must be encoded.
IDS = st.text("abcXYZ0189-_.=/+ é", min_size=1, max_size=12).map(str.strip).filter(
    lambda text: text.lower().strip("() +") not in ("", "-", "na", "n/a", "none", "null", "nan", "not set")
)  # fmt: skip


def read(**columns: list[str | None]) -> list[tuple[str | None, str | None]]:
    table = read_click_ids(pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()}))
    return list(zip(table["click_id"].to_pylist(), table["click_id_kind"].to_pylist(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_from_its_column_and_from_the_address(kind: str) -> None:
    assert read(**{kind: ["EAIaIQ-_x", None, ""]}) == [("EAIaIQ-_x", kind), (None, None), (None, None)]
    assert read(url=[f"https://shop.com/a?b=1&{kind}=EAIaIQ-_x#top", "https://shop.com/"]) == [
        ("EAIaIQ-_x", kind), (None, None)
    ]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KINDS), IDS, max_size=4), IDS)
def test_addresses_are_read_as_the_standard_library_does(ids: dict[str, str], campaign: str) -> None:
    query = "&".join([f"utm_campaign={quote(campaign)}", *(f"{kind}={quote(text)}" for kind, text in ids.items())])
    address = f"https://shop.com/?{query}"
    parsed = dict(parse_qsl(urlsplit(address).query))
    first = next((kind for kind in KINDS if kind in ids), None)
    assert read(url=[address]) == [(None if first is None else parsed[first].strip(), first)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # Of several kinds the first in their order counts, of one kind its column.
        ({"url": "https://s.com/?fbclid=f&wbraid=w&gclid=g"}, ("g", "gclid")),
        ({"gclid": None, "wbraid": "w", "url": "https://s.com/?gbraid=b"}, ("b", "gbraid")),
        ({"gclid": "column", "url": "https://s.com/?gclid=address"}, ("column", "gclid")),
        ({"url": "https://s.com/?gclid=one&gclid=two"}, ("one", "gclid")),
        ({"url": "https://s.com/?gclid=&msclkid=m"}, ("m", "msclkid")),
        ({"url": "https://s.com/?GCLID=CaseStays"}, ("CaseStays", "gclid")),
        ({"url": "https://s.com/#/cart?gclid=app"}, ("app", "gclid")),
        ({"url": "https://s.com/?a=1&amp;gclid=html"}, ("html", "gclid")),
        ({"url": "https%3A%2F%2Fs.com%2F%3Fgclid%3Dwhole"}, ("whole", "gclid")),
        ({"url": "https://s.com/?notgclid=x"}, (None, None)),
        ({"referrer": "https://s.com/?gclid=theirs"}, (None, None)),
        ({"url": "https://s.com/?gclid=a%2Bb+c"}, ("a+b+c", "gclid")),
    ],
)
def test_by_hand(columns: dict[str, str | None], expected: tuple[str | None, str | None]) -> None:
    assert read(**{name: [text] for name, text in columns.items()}) == [expected]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="does not hold text"):
        read_click_ids(pa.table({"url": [[1]]}))


def touchpoints() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [1, 1, 2],
            "touched_at": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]),
            "url": ["https://s.com/?gclid=g", "https://s.com/", "https://s.com/?msclkid=m"],
            "click_id": [None, "own", "own"],
        }
    )


def test_touchpoints_get_them_where_they_are_asked_for() -> None:
    conversions = pd.DataFrame({"customer_id": [1], "converted_at": pd.to_datetime(["2024-01-05"])})
    plain = at.load_sources(touchpoints().drop(columns="click_id"), conversions)
    assert not {"click_id", "click_id_kind"} & set(plain.dimensions)
    asked_for = at.load_sources(touchpoints().drop(columns="click_id"), conversions, click_ids=True)
    rows = asked_for.engine.query("select * from touchpoints order by touched_at").to_pylist()
    assert [(row["click_id"], row["click_id_kind"]) for row in rows] == [
        ("g", "gclid"), (None, None), ("m", "msclkid")
    ]  # fmt: skip
