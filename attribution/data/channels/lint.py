"""What is wrong with how links are tagged, by how many touchpoints suffer from it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.data.channels.addresses import registered_domain
from attribution.data.channels.channel_rules import ChannelRules, Rule
from attribution.data.channels.coded import Coded, Mask
from attribution.data.channels.derive import DISPLAY_MEDIUMS, UNASSIGNED, Grouped, find_paid, group_channels, is_paid
from attribution.data.channels.evidence import Evidence, is_own, read_evidence
from attribution.data.channels.spelling import MACRO
from attribution.errors import InputError, did_you_mean
from attribution.schema.clicks import MARKS, TAGS, UNPAID_CHANNELS

# ---------------------------------------------------------------- names that are probably one, spelled twice

_SEPARATORS = re.compile(r"[\W_]+")
_DOMAIN_END = re.compile(r"\.(?:(?:co|com|ne|or|org|net)\.)?[a-z]{2,3}$")
_LONG_WORD = re.compile(r"[a-z]{5,}")
_LONGEST_NAME = 80
_MOST_NAMES = 2_000


def near_duplicates(traffic: Mapping[str, int], *, are_sites: bool = False) -> list[tuple[str, str]]:
    """Pairs of a name and a more frequent one that it probably stands for.

    Two names are alike if they differ in separators, accents or (``are_sites``) in the end of a domain only, or in
    one letter of one long word. Numbers, short words and letters of other scripts may differ on purpose, and are
    never taken for a slip. Slips are looked for among the 2,000 most frequent names.

    Parameters
    ----------
    traffic : how often each name, in its normal spelling, occurs

    Examples
    --------
    >>> near_duplicates({"facebook": 90, "face book": 5, "facebok": 2, "sale_1": 4, "sale_2": 4, "shoes_de": 2})
    [('face book', 'facebook'), ('facebok', 'facebook')]
    """
    ranked = sorted(traffic, key=lambda name: (-traffic[name], name))
    heads: dict[str, str] = {}
    pairs = {name: head for name in ranked if (head := heads.setdefault(_plain(name, are_sites), name)) != name}
    frequent = [name for name in heads.values() if len(name) <= _LONGEST_NAME][:_MOST_NAMES]
    slips: dict[str, list[str]] = {}
    for name in frequent:
        keys = set(_one_letter_shorter(name))
        similar = (other for key in sorted(keys) for other in slips.get(key, ()) if _is_slip(name, other))
        if (other := next(similar, None)) is not None:
            pairs[name] = other
        for key in keys:
            slips.setdefault(key, []).append(name)
    return [(name, pairs[name]) for name in ranked if name in pairs]


def _plain(name: str, is_site: bool) -> str:
    """What is left of a name without separators and accents; separators between numbers stay."""
    letters = unicodedata.normalize("NFKD", _DOMAIN_END.sub("", name) if is_site else name)
    letters_only = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"(?<!\d)_|_(?!\d)", "", _SEPARATORS.sub("_", letters_only)) or name


def _one_letter_shorter(name: str) -> Iterable[str]:
    """The name, and the name without any one letter of a long word: names one slip apart share one of them."""
    yield name
    for word in _LONG_WORD.finditer(name):
        for index in range(*word.span()):
            yield name[:index] + name[index + 1 :]


def _is_slip(name: str, other: str) -> bool:
    words, other_words = _SEPARATORS.split(name), _SEPARATORS.split(other)
    if len(words) != len(other_words):
        return False
    differing = [pair for pair in zip(words, other_words, strict=True) if pair[0] != pair[1]]
    return len(differing) == 1 and _is_one_slip(*differing[0])


def _is_one_slip(word: str, other: str) -> bool:
    """Whether two long words of Latin letters differ by one letter, or by two that changed places."""
    if not (_LONG_WORD.fullmatch(word) and _LONG_WORD.fullmatch(other)):
        return False
    start = _shared_length(word, other)
    left, right = word[start:], other[start:]
    end = _shared_length(left[::-1], right[::-1])
    left, right = left[: len(left) - end], right[: len(right) - end]
    # A first letter is almost never mistyped: gmail is not email.
    return start > 0 and (max(len(left), len(right)) == 1 or (len(left) == 2 and left == right[::-1]))


def _shared_length(word: str, other: str) -> int:
    """How many letters two words begin with in common."""
    same = (left == right for left, right in zip(word, other, strict=False))
    return next((index for index, is_same in enumerate(same) if not is_same), min(len(word), len(other)))


# ---------------------------------------------------------------- flaws

_SCHEMA = pa.schema(
    [
        ("check", pa.string()),
        ("source", pa.string()),
        ("medium", pa.string()),
        ("campaign", pa.string()),
        ("touchpoints", pa.int64()),
        ("message", pa.string()),
        ("example", pa.string()),
    ]
)


class Flaw(NamedTuple):
    """One row of the lint."""

    check: str
    source: str | None
    medium: str | None
    campaign: str | None
    touchpoints: int
    message: str
    example: str | None = None


def lint_channels(rows: pa.Table, rules: ChannelRules) -> pa.Table:
    """List what keeps touchpoints from the channel they belong to.

    Parameters
    ----------
    rows : distinct raw rows, as for `derive_channels`, with a column ``touchpoints``: how often each occurs; where
        the log has campaigns of its own, also ``without_campaign``: how many of these touchpoints have none; where
        it has channels of its own, also ``unpaid``: how many touchpoints it puts into one that is not paid
    rules : the rules that will be applied

    Returns
    -------
    pa.Table
        ``check``, ``source``, ``medium``, ``campaign`` (null where it does not matter), ``touchpoints`` concerned,
        ``message``, ``example`` (null where source, medium or campaign is one); most touchpoints first, then by name.
        Checks are ``unmapped`` (no rule claims this source and medium), ``near_duplicate_source``,
        ``near_duplicate_medium`` and ``near_duplicate_campaign`` (a rarer spelling of another name),
        ``paid_without_campaign``, ``self_referral``, ``unread_tag`` (looks like a tag, and nothing reads it),
        ``unread_medium`` (looks paid, and no rule takes it for paid), ``unfilled_macro``, ``paid_click_id`` (beside a
        medium or channel that is not paid) and ``rule_without_hits``; loading adds ``shared_click_id`` (one id on many
        customers).

    Raises
    ------
    InputError
        If a count is missing or holds no whole numbers, and as `derive_channels` does.

    Examples
    --------
    >>> rows = pa.table({
    ...     "utm_source": ["facebook", "face book", "intranet"],
    ...     "utm_medium": ["cpc", "cpc", "hall"],
    ...     "utm_campaign": ["may", "may", None],
    ...     "touchpoints": [90, 10, 5],
    ... })
    >>> lint_channels(rows, ChannelRules()).select(["check", "source", "touchpoints"]).to_pylist()[0]
    {'check': 'near_duplicate_source', 'source': 'face book', 'touchpoints': 10}
    """
    evidence = read_evidence(rows, rules.own_sites)
    return lint_evidence(evidence, rows, rules, group_channels(evidence, rows, rules))


def lint_evidence(
    evidence: Evidence,
    rows: pa.Table,
    rules: ChannelRules,
    grouped: Grouped,
    *,
    further: Sequence[Flaw] = (),
) -> pa.Table:
    """`lint_channels` of evidence that is read, and channels that are named, already; with ``further`` flaws."""
    channel, by_rule = grouped.channel, grouped.by_rule
    weights = _weights(rows, "touchpoints")
    without_campaign = _weights(rows, "without_campaign") if "without_campaign" in rows.column_names else weights
    paid_ids = _find_unpaid_columns(evidence, _weights(rows, "unpaid")) if "unpaid" in rows.column_names else []
    is_ruled = weights > 0
    if not is_ruled.all():
        # Rows with a channel of their own ask nothing of the rules.
        evidence, channel, by_rule = evidence.take(is_ruled), channel.take(is_ruled), by_rule[is_ruled]
        weights, without_campaign = weights[is_ruled], without_campaign[is_ruled]
    flaws = [
        *_find_unmapped(evidence, channel.where(UNASSIGNED.__eq__), weights),
        *_near("source", evidence.tags["utm_source"], weights),
        *_near("medium", evidence.tags["utm_medium"], weights),
        *_near("campaign", evidence.tags["utm_campaign"], weights),
        *_find_paid_without_campaign(evidence, without_campaign),
        *_self_referrals(evidence, rules.own_sites, weights),
        *_find_unread_tags(evidence, weights),
        *_find_unread_mediums(evidence, channel, weights),
        *_find_macros(evidence, weights),
        *_find_paid_ids(evidence, channel, weights),
        *paid_ids,
        *further,
        *_find_idle_rules(rules, by_rule),
    ]
    flaws.sort(key=lambda flaw: (-flaw.touchpoints, *(part or "" for part in (*flaw[:4], flaw.example, flaw.message))))
    return pa.Table.from_pylist([flaw._asdict() for flaw in flaws], schema=_SCHEMA)


def _weights(rows: pa.Table, name: str) -> NDArray[np.int64]:
    if name not in rows.column_names:
        raise InputError(f"lint_channels needs a column {name!r}", given=rows.column_names)
    try:
        weights = rows[name].cast(pa.int64()).fill_null(0)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"column {name!r} does not hold whole numbers: {error}") from None
    counts: NDArray[np.int64] = weights.to_numpy()
    return counts


def _find_unmapped(evidence: Evidence, is_unassigned: Mask, weights: NDArray[np.int64]) -> list[Flaw]:
    message = "no channel rule matches this source and medium: add a rule for it"
    traffic = _count_pairs(evidence, is_unassigned, weights)
    return [Flaw("unmapped", source, medium, None, count, message) for (source, medium), count in traffic.items()]


def _find_paid_without_campaign(evidence: Evidence, weights: NDArray[np.int64]) -> list[Flaw]:
    message = (
        "paid clicks without a campaign: their spend cannot be compared by campaign; add utm_campaign to their links"
    )
    nameless = find_paid(evidence) & ~evidence.tags["utm_campaign"].is_there() & (weights > 0)
    traffic = _count_pairs(evidence, nameless, weights)
    return [
        Flaw("paid_without_campaign", source, medium, None, count, message)
        for (source, medium), count in traffic.items()
    ]


_PAID_WORDS = re.compile(
    r"(?<![^\W_])(?:ads?|adv|adwords|sem|sea|pla|pmax|paid|bought|sponsored|sponsoring|promoted|boost(?:ed)?|programmatic|native|"
    r"remarketing|retarget(?:ing)?|performance ?max|paidsearch|paidsocial|cost)(?![^\W_])"
)
"""In a medium, what tells people that the click was bought, and the default grouping nothing."""


def _find_unread_mediums(evidence: Evidence, channel: Coded, weights: NDArray[np.int64]) -> list[Flaw]:
    medium = evidence.tags["utm_medium"]
    is_unread = medium.where(_PAID_WORDS.search) & ~find_paid(evidence) & channel.where(UNPAID_CHANNELS.__contains__)
    is_unread &= ~channel.where(UNASSIGNED.__eq__)
    message = (
        "the medium looks paid, but no rule takes it for paid, so that the source alone decides the channel: use cpc "
        "or paid, or add a rule"
    )
    traffic = _count_pairs(evidence, is_unread, weights)
    return [Flaw("unread_medium", source, medium, None, count, message) for (source, medium), count in traffic.items()]


_KNOWN_TAGS = (*(name for names in TAGS.values() for name in names), *MARKS)


def _find_unread_tags(evidence: Evidence, weights: NDArray[np.int64]) -> list[Flaw]:
    strays = evidence.strays
    flaws = []
    for name, count in _traffic(strays.names, strays.names.is_there(), weights[strays.rows]).items():
        example = _first_text(strays.texts.filter(pa.array(strays.names.where(name.__eq__))))
        remedy = did_you_mean(name, _KNOWN_TAGS) or "tag these links with utm_source and utm_medium"
        message = f"the parameter {name!r} looks like a tag, and no rule reads it: {remedy}"
        flaws.append(Flaw("unread_tag", None, None, None, count, message, example))
    return flaws


def _first_text(texts: pa.Array) -> str:
    # The least, for rows have no order.
    return str(pc.min(texts.cast(pa.string())).as_py())[:_LONGEST_EXAMPLE]


_LONGEST_EXAMPLE = 200
_FIELDS = {"utm_source": "source", "utm_medium": "medium", "utm_campaign": "campaign"}


def _find_macros(evidence: Evidence, weights: NDArray[np.int64]) -> list[Flaw]:
    flaws = []
    is_macro = re.compile(MACRO).search
    for tag, names in evidence.tags.items():
        for text, count in _traffic(names, names.where(is_macro), weights).items():
            fields = dict.fromkeys(_FIELDS.values()) | ({_FIELDS[tag]: text} if tag in _FIELDS else {})
            message = f"{tag} is a placeholder that was never filled: mend the tracking template of these links"
            flaws.append(Flaw("unfilled_macro", **fields, touchpoints=count, message=message, example=f"{tag}={text}"))
    macros = evidence.unfilled
    for name, count in _traffic(macros.names, macros.names.is_there(), weights[macros.rows]).items():
        text = _first_text(macros.texts.filter(pa.array(macros.names.where(name.__eq__))))
        message = f"{name} is a placeholder that was never filled: mend the tracking template of these links"
        flaws.append(Flaw("unfilled_macro", None, None, None, count, message, f"{name}={text}"))
    return flaws


def _find_paid_ids(evidence: Evidence, channel: Coded, weights: NDArray[np.int64]) -> list[Flaw]:
    """Ads whose medium, or channel, is not one of ads."""
    is_ad = evidence.click.where(lambda name: MARKS[name].proof == "ad")
    medium = evidence.tags["utm_medium"]
    is_contradicted = is_ad & medium.where(lambda name: not (is_paid(name) or name in DISPLAY_MEDIUMS))
    is_unpaid = is_ad & channel.where(UNPAID_CHANNELS.__contains__)
    return [
        *_paid_ids(evidence, is_contradicted & ~is_unpaid, weights, _CONTRADICTED),
        *_paid_ids(evidence, is_unpaid, weights, _UNPAID),
    ]


def _find_unpaid_columns(evidence: Evidence, unpaid: NDArray[np.int64]) -> list[Flaw]:
    """Ads that the log itself puts into a channel that is not paid."""
    is_ad = evidence.click.where(lambda name: MARKS[name].proof == "ad")
    return _paid_ids(evidence, is_ad & (unpaid > 0), unpaid, _UNPAID)


_CONTRADICTED = (
    "the id of a paid click beside a medium that is not paid; it counts as paid: mend the tags of these links"
)
_UNPAID = (
    "the id of a paid click in a channel that is not paid: mend the rule or the column that names the channel, or its "
    "spend has no clicks"
)


def _paid_ids(evidence: Evidence, mask: Mask, weights: NDArray[np.int64], message: str) -> list[Flaw]:
    flaws = []
    for name in evidence.click.values:
        is_mine = mask & evidence.click.where(name.__eq__)
        if is_mine.any():
            traffic = _count_pairs(evidence, is_mine, weights)
            flaws += [Flaw("paid_click_id", *pair, None, n, f"{name}: {message}", name) for pair, n in traffic.items()]
    return flaws


def _find_idle_rules(rules: ChannelRules, by_rule: NDArray[np.int32]) -> list[Flaw]:
    hits = np.bincount(by_rule[by_rule >= 0], minlength=len(rules.own))
    message = (
        "rule {} ({!r}) matches no touchpoint: check its conditions, and whether an earlier rule takes its touchpoints"
    )
    return [
        Flaw("rule_without_hits", None, None, None, 0, message.format(number, rule.channel), _describe(rule))
        for number, (rule, n) in enumerate(zip(rules.own, hits.tolist(), strict=True), start=1)
        if not n and len(by_rule)
    ]


def _describe(rule: Rule) -> str:
    return "; ".join(f"{name} = {', '.join(patterns)}" for name, patterns in rule.conditions.items())


def _near(field: str, names: Coded, weights: NDArray[np.int64]) -> list[Flaw]:
    traffic = _traffic(names, names.is_there(), weights)
    flaws = []
    for name, other in near_duplicates(traffic, are_sites=field == "source"):
        fields = dict.fromkeys(("source", "medium", "campaign")) | {field: name}
        message = f"probably means {other!r}, which has {traffic[other]:,} touchpoints: use one spelling"
        flaws.append(Flaw(f"near_duplicate_{field}", **fields, touchpoints=traffic[name], message=message))
    return flaws


def _self_referrals(evidence: Evidence, own_sites: tuple[str, ...], weights: NDArray[np.int64]) -> list[Flaw]:
    is_untagged = ~evidence.is_tagged & ~evidence.is_clicked
    own = evidence.referrer.where(lambda host: is_own(host, own_sites))
    message = "visits that arrive from your own site; own_sites names it, so it is no channel of its own"
    flaws = _referrals(evidence, is_untagged & own, weights, message)
    landings = _traffic(evidence.landing_host, evidence.landing_host.is_there(), weights)
    if landings:
        landed = registered_domain(min(landings, key=lambda host: (-landings[host], host)))
        message = f"most visitors land on {landed!r}, and some arrive from it: add it to own_sites"
        same = evidence.referrer.where(lambda host: is_own(host, (landed,)))
        flaws += _referrals(evidence, is_untagged & same & ~own, weights, message)
    return flaws


def _referrals(evidence: Evidence, mask: Mask, weights: NDArray[np.int64], message: str) -> list[Flaw]:
    traffic = _traffic(evidence.referrer, mask, weights)
    return [Flaw("self_referral", host, None, None, count, message) for host, count in traffic.items()]


def _traffic(names: Coded, mask: Mask, weights: NDArray[np.int64]) -> dict[str, int]:
    """Touchpoints by name, where ``mask`` is true."""
    codes, numbers = np.unique(names.codes[mask], return_inverse=True)
    sums = np.zeros(len(codes), dtype=np.int64)
    np.add.at(sums, numbers, weights[mask])
    return {names.values[code]: count for code, count in zip(codes.tolist(), sums.tolist(), strict=True) if code >= 0}


def _count_pairs(
    evidence: Evidence, mask: Mask, weights: NDArray[np.int64]
) -> dict[tuple[str | None, str | None], int]:
    """Touchpoints by source and medium, where ``mask`` is true."""
    sources, mediums = evidence.source, evidence.medium
    table = pa.table({"source": sources.codes[mask], "medium": mediums.codes[mask], "n": weights[mask]})
    sums = table.group_by(["source", "medium"]).aggregate([("n", "sum")])
    names = ((*sources.values, None), (*mediums.values, None))
    return {
        (names[0][row["source"]], names[1][row["medium"]]): row["n_sum"]
        for row in sums.select(["source", "medium", "n_sum"]).to_pylist()
    }
