"""Credited conversions for bidding systems: by click where clicks have ids, by day and campaign elsewhere."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from attribution.arguments import check_arguments
from attribution.errors import InputError, LawError, did_you_mean
from attribution.models.credit import TOLERANCE
from attribution.pipeline.output import FORMULA
from attribution.schema.clicks import CLICK_IDS
from attribution.schema.tables import BASELINE, NO_CHANNELS, UNATTRIBUTED
from attribution.schema.tables.definition import Column, Table, null

_CHANNEL = Column("channel", "text", "channel of the touchpoint")
_CAMPAIGN = null("campaign", "text", "campaign within the channel; null where touchpoints name none")

CREDITED_CONVERSIONS = Table(
    "credited_conversions",
    "conversion × click; without a click id conversion day × channel × campaign",
    (
        null("click_id", "text", "id of the click, as the ad system gave it; null where credit is summed by day"),
        null(
            "click_id_kind", "text", "gclid, gbraid, wbraid, msclkid, …; null where credit is by day or it is not known"
        ),
        null("conversion_id", "text", "the conversion; a digest where its id was made of the customer's; null by day"),
        Column("conversion_name", "text", "what the bidding system calls this conversion"),
        null("conversion_time", "text", "when it happened, with its offset; null where credit is summed by day"),
        Column("day", "text", "day of the conversion (UTC)"),
        _CHANNEL,
        _CAMPAIGN,
        Column("conversions", "number", "credited conversions: of one click the share of its conversion"),
        Column("value", "number", "credited value"),
        null("currency", "text", "currency of the value; null where it is not told"),
        Column("model", "text", "label of the model that gave the credit"),
    ),
)

CREDITED_CAMPAIGNS = Table(
    "credited_campaigns",
    "channel × campaign, and what is no channel's",
    (
        Column("channel", "text", "channel, (unattributed) or (baseline)"),
        _CAMPAIGN,
        Column("conversions", "number", "credited conversions; all rows add up to the conversions that were observed"),
        Column("value", "number", "credited value; all rows add up to the value that was observed"),
        Column(
            "with_click_id", "number", "of the conversions, those credited to clicks with an id", unit="conversions"
        ),
        Column("is_exported", "flag", "whether it is in the file: conversions of no channel are not"),
    ),
)

CONVERSION_EXPORT_TABLES = (CREDITED_CONVERSIONS, CREDITED_CAMPAIGNS)


_FILE = "journey_credit.parquet"
_AGAIN = "run the experiment again with output.journey_credit = true"


@dataclass(frozen=True)
class Credited:
    """Credit of one model, ready for a bidding system.

    Attributes
    ----------
    model : its label
    conversions : `attribution.schema.tables.CREDITED_CONVERSIONS`
    campaigns : `attribution.schema.tables.CREDITED_CAMPAIGNS`
    formulas : number of ids that a spreadsheet would take for a formula, by what was done with them
    """

    model: str
    conversions: pd.DataFrame
    campaigns: pd.DataFrame
    formulas: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """Conversions that are not in the file, and those in it without a click or a campaign."""
        inside, outside = (
            self.campaigns[self.campaigns["is_exported"] == is_exported] for is_exported in (True, False)
        )
        without = {
            "without a click id, summed by day": inside["conversions"].sum() - inside["with_click_id"].sum(),
            "without a campaign": inside.loc[inside["campaign"].isna(), "conversions"].sum(),
        }
        exported, total = inside["conversions"].sum(), self.campaigns["conversions"].sum()
        notes = [f"{exported:,.2f} of {total:,.2f} conversions are credited to channels and can be exported."]
        reasons = {
            UNATTRIBUTED: "because they have no touchpoint",
            BASELINE: "because they would have come without any channel",
        }
        notes += [
            f"{row.conversions:,.2f} conversions are left out, {reasons[row.channel]}." for row in outside.itertuples()
        ]
        notes += [
            f"{count:,.2f} conversions are exported {what}." for what, count in without.items() if count > TOLERANCE
        ]
        return notes + [
            f"{count:,} {what}: check where they come from." for what, count in self.formulas.items() if count
        ]


@check_arguments
def credited_conversions(
    folder: str | Path, model: str | None = None, *, name: str = "conversion", currency: str | None = None
) -> Credited:
    r"""The credit of one model for each click, or for each day and campaign where clicks have no ids.

    Parameters
    ----------
    folder : of a finished run with ``output.journey_credit``, or of a scoring job
    model : its label; may be left out where there is one
    name : what the bidding system calls the conversion
    currency : of the values, such as EUR

    Returns
    -------
    Credited
        ``conversions``, one row per click and conversion or per day and campaign, and ``campaigns``, their sums.

    Raises
    ------
    InputError
        If the folder has no credit per touchpoint, no such model, or no times.
    LawError
        If the credit does not add up to the ``credit`` table of the run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import attribution as at
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "clicks.csv").write_text(
    ...     "customer_id,touched_at,channel,gclid\n1,2024-01-01,search,k1\n1,2024-01-03,search,k2\n")
    >>> _ = (folder / "orders.csv").write_text("customer_id,converted_at,value\n1,2024-01-05,90\n")
    >>> _ = (folder / "shop.toml").write_text('''
    ... [tables.touchpoints]
    ... source = "clicks.csv"
    ... columns = { customer_id = "customer_id", touched_at = "touched_at", channel = "channel", click_id = "gclid" }
    ... [tables.conversions]
    ... source = "orders.csv"
    ... [output]
    ... journey_credit = true
    ... [[models]]
    ... model = "Linear"
    ... ''')
    >>> from attribution.pipeline.output import write_outcome
    >>> outcome = at.run_experiment(folder / "shop.toml")
    >>> (folder / "run").mkdir()
    >>> write_outcome(folder / "run", outcome, report="", seconds=1.0)
    >>> exported = at.credited_conversions(folder / "run", "linear", name="order", currency="EUR")
    >>> exported.conversions[["click_id", "conversions", "value"]].values.tolist()
    [['k1', 0.5, 45.0], ['k2', 0.5, 45.0]]
    """
    folder = Path(folder)
    files = _credit_files(folder)
    label = _choose_model(files, model)
    rows = _read_credit(files, label)
    rows = rows.assign(click_id_kind=_kinds(rows, _mapped_kind(folder)))
    if (folder / "credit.parquet").is_file():
        _check_sums(rows, folder, label)
    credited = rows[~rows["channel"].isin(NO_CHANNELS) & (rows["credit"] > 0)]
    if name.startswith(FORMULA):
        raise InputError(
            "a spreadsheet would read this name of the conversion as a formula",
            given=repr(name),
            hint="start it with a letter or a digit",
        )
    forged = credited["click_id"].fillna("").map(_is_formula).astype(bool)
    by_click = credited[(credited["click_id"].fillna("") != "") & ~forged]
    by_day = credited.drop(by_click.index)
    parts = [_clicks(by_click), _days(by_day)]
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    table = table.assign(conversion_name=name, currency=currency, model=label)
    formulas = {
        "click ids look like spreadsheet formulas, so their credit is summed by day": int(
            credited.loc[forged, "click_id"].nunique()
        ),
        "conversion ids look like spreadsheet formulas, so digests replace them": int(
            by_click.loc[by_click["conversion_id"].map(_is_formula), "conversion_id"].nunique()
        ),
    }
    return Credited(label, table[list(CREDITED_CONVERSIONS.column_names)], _campaigns(rows, by_click), formulas)


def _credit_files(folder: Path) -> list[Path]:
    """The files with credit per touchpoint."""
    if (folder / _FILE).is_file():
        return [folder / _FILE]
    days = sorted((folder / "journey_credit").glob(f"day=*/{_FILE}"))
    if days:
        return days
    if (folder / "credit.parquet").is_file():
        raise InputError(f"run {folder} has no credit per touchpoint", hint=_AGAIN)
    raise InputError(
        f"folder {folder} has no credit per touchpoint",
        hint="give a folder that `attribution run` or `attribution score` wrote",
    )


def _choose_model(files: list[Path], model: str | None) -> str:
    labels_by_file = [pq.ParquetFile(path).read(columns=["model"])["model"].unique().to_pylist() for path in files]
    saved_labels = list(dict.fromkeys(label for labels in labels_by_file for label in labels))
    if model is None and len(saved_labels) == 1:
        return str(saved_labels[0])
    if model is None or model not in saved_labels:
        problem = "there are several models, so one must be chosen" if model is None else f"there is no model {model!r}"
        raise InputError(
            problem, allowed=saved_labels, hint=None if model is None else did_you_mean(model, saved_labels)
        )
    return model


def _read_credit(files: list[Path], label: str) -> pd.DataFrame:
    """Rows of one model, with ``day`` and ``conversion_time`` as text; those of a scoring job have only the day."""
    parts = []
    for path in files:
        rows = pq.ParquetFile(path).read().to_pandas()
        rows = rows[rows["model"] == label]
        if path.parent.name.startswith("day="):
            rows = rows.assign(day=path.parent.name.removeprefix("day="), conversion_time=None, click_id=None)
        elif "converted_at" not in rows:
            raise InputError(f"{path} was written by an earlier version, without conversion times", hint=_AGAIN)
        elif not pd.api.types.is_datetime64_any_dtype(rows["converted_at"]):
            raise InputError(
                "bidding systems need the time of each conversion, but these data have only an order",
                hint="run the experiment on touchpoints and conversions with timestamps",
            )
        else:
            at = rows["converted_at"].dt
            rows = rows.assign(day=at.strftime("%Y-%m-%d"), conversion_time=at.strftime("%Y-%m-%d %H:%M:%S+00:00"))
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def _kinds(rows: pd.DataFrame, mapped: str | None) -> pd.Series:
    """The kind of each click id; that of the column that was mapped to it where the row tells none."""
    own = rows["click_id_kind"] if "click_id_kind" in rows else pd.Series(None, rows.index, dtype=object)
    is_open = own.isna() & (rows["click_id"].fillna("") != "")
    return own.astype(object).where(~is_open, mapped)


def _mapped_kind(folder: Path) -> str | None:
    """The kind of the click ids of a run whose experiment maps a column of such a name, as ``click_id = "gclid"``."""
    try:
        document = tomllib.loads((folder / "experiment.toml").read_text(encoding="utf-8"))
        column = document["tables"]["touchpoints"]["columns"]["click_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return column.lower() if isinstance(column, str) and column.lower() in CLICK_IDS else None


def _check_sums(rows: pd.DataFrame, folder: Path, label: str) -> None:
    """Raise unless the rows add up to the ``credit`` table of the run."""
    credit = pd.read_parquet(folder / "credit.parquet")
    credit = credit[credit["model"] == label]
    is_divided = (rows["channel"] == BASELINE).any() or (rows["channel"] == UNATTRIBUTED).all()
    if (credit["channel"] == BASELINE).any() and not is_divided:
        raise InputError(
            f"run {folder} was written by an earlier version, whose credit per touchpoint of model {label!r} includes "
            "the baseline",
            hint=_AGAIN,
        )
    for column, what in (("credit", "conversions"), ("credited_value", "value")):
        exported, total = float(rows[column].sum()), float(credit[what].sum())
        if not abs(exported - total) <= TOLERANCE * max(1.0, abs(total)):
            raise LawError(f"credit per touchpoint of model {label!r} adds up to {exported!r} {what} of {total!r}")


def _clicks(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each click of each conversion: a click that was logged twice counts once."""
    ids, customers = (rows[name].astype(str) for name in ("conversion_id", "customer_id"))
    # Ids that contain the customer are replaced, so that no customer can be identified.
    shown = [
        hashlib.sha256(one.encode()).hexdigest()[:16] if one.startswith(f"{customer}@") or _is_formula(one) else one
        for one, customer in zip(ids, customers, strict=True)
    ]
    keys = ["day", "conversion_time", "conversion_id", "click_id", "click_id_kind", "channel", "campaign"]
    return _sum_credit(rows.assign(conversion_id=shown), keys)


def _is_formula(value: object) -> bool:
    """Whether a spreadsheet would take an id for a formula; a single leading ``-`` is harmless."""
    text = str(value)
    return text.startswith(FORMULA) and re.fullmatch(r"-[\w.-]*", text) is None


def _days(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each day, channel and campaign."""
    summed = _sum_credit(rows, ["day", "channel", "campaign"])
    return summed.assign(click_id=None, click_id_kind=None, conversion_id=None, conversion_time=None)


def _campaigns(rows: pd.DataFrame, by_click: pd.DataFrame) -> pd.DataFrame:
    keys = ["channel", "campaign"]
    clicked = _sum_credit(by_click, keys).rename(columns={"conversions": "with_click_id"}).drop(columns="value")
    table = _sum_credit(rows, keys).merge(clicked, on=keys, how="left")
    table["with_click_id"] = table["with_click_id"].astype(float).fillna(0.0)
    table["is_exported"] = ~table["channel"].isin(NO_CHANNELS)
    table = table.sort_values("is_exported", ascending=False, kind="stable", ignore_index=True)
    return table[list(CREDITED_CAMPAIGNS.column_names)]


def _sum_credit(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Credit by ``keys``, in their order; None is a key too."""
    summed = rows.groupby(keys, sort=True, dropna=False)[["credit", "credited_value"]].sum().reset_index()
    summed = summed.rename(columns={"credit": "conversions", "credited_value": "value"})
    return summed.astype({"campaign": object}).assign(
        campaign=lambda table: table["campaign"].where(table["campaign"].notna(), None)
    )
