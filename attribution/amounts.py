"""Numbers in sentences: how many things there are, amounts without exponents, shares and ROI in per cent."""

from __future__ import annotations


def pluralise(number: int, noun: str) -> str:
    """A number with the noun that it counts.

    Parameters
    ----------
    number : how many there are
    noun : of one thing; its plural ends in ``s``

    Examples
    --------
    >>> pluralise(1, "row"), pluralise(1_200, "row"), pluralise(0, "row")
    ('1 row', '1,200 rows', '0 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_amount(number: float) -> str:
    """An amount with four digits that matter, and a separator of thousands instead of an exponent.

    Examples
    --------
    >>> format_amount(2_000_000.0), format_amount(180_912.4), format_amount(12.345), format_amount(-0.00001)
    ('2,000,000', '180,912', '12.35', 'almost 0')
    """
    if abs(number) >= 1_000:
        return f"{number:,.0f}"
    return "almost 0" if 0 < abs(number) < 1e-4 else f"{number:.4g}"


def format_money(amount: float, currency: str | None) -> str:
    """An amount of money, without cents from a thousand on; its currency where one is known.

    Examples
    --------
    >>> format_money(180_912.4, "EUR"), format_money(12.5, None)
    ('180,912 EUR', '12.50')
    """
    text = f"{amount:,.0f}" if abs(amount) >= 1_000 else f"{amount:,.2f}"
    return text if currency is None else f"{text} {currency}"


def format_roi(ratio: float) -> str:
    """An ROI, or another change, in per cent with its sign.

    Examples
    --------
    >>> format_roi(2.094), format_roi(-0.25), format_roi(-0.001), format_roi(12.5)
    ('+209 %', '-25 %', '+0 %', '+1,250 %')
    """
    return f"{100 * ratio:+z,.0f} %"


def percent(share: float) -> str:
    """A share as a percentage with as many decimals as it needs.

    Examples
    --------
    >>> percent(0.125), percent(0.2), percent(0.0004), percent(0.0), percent(0.00001)
    ('12.5 %', '20 %', '0.04 %', '0 %', 'less than 0.01 %')
    """
    if 0 < share < 1e-4:
        return "less than 0.01 %"
    text = f"{100 * share:.1f}".removesuffix(".0") if share >= 0.01 else f"{100 * share:.2g}"
    return f"{text} %"
