"""How far the ranking can be trusted, as a section: its tables, numbers, figures, and what the report says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from attribution.data.loading import Finding, Sources
from attribution.incrementality.calibrated_run import CALIBRATION
from attribution.journeys import Journeys
from attribution.journeys.direct_names import absent_direct
from attribution.models import AttributionModel, LastTouch
from attribution.models.chance import beyond_chance
from attribution.returns import Terms, main_basis
from attribution.returns.ranking import compared_rows
from attribution.schema.experiment import Experiment
from attribution.sections import FigureSpec, Language, ReportPart, RunContext, Section
from attribution.uncertainty.intervals_declared import ALL_MODELS
from attribution.uncertainty.model_checks import failed_checks
from attribution.uncertainty.sensitivity.fits import check_sensitivity, draw_grid
from attribution.uncertainty.sensitivity.regret import regret_table
from attribution.uncertainty.sensitivity.rules import DOES_NOT_PAY, LIKELY_PAYS, PAYS, UNKNOWN
from attribution.uncertainty.sensitivity.sensitivity_declared import NO_CHANGE, SENSITIVITY_TABLES
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions, sensitivity_options
from attribution.uncertainty.sensitivity.spread import ORDER, joint_ranks, rank_swaps, roi_variance, specification_table
from attribution.uncertainty.sensitivity.tested import with_tested
from attribution.uncertainty.sensitivity.verdicts import NOT_INCREMENTAL, most_returned, one_per_channel, verdict_table

MOST_CURVES = 3
"""So many channels have a specification curve in a report: those with most money between best and worst case."""

_COUNTED = (PAYS, LIKELY_PAYS, DOES_NOT_PAY, UNKNOWN)
_BY_CHANNEL = ("probability_pays_low", "probability_pays_high", "money_at_stake", "roi_low", "roi_high")
_VERDICTS = ["channel", "verdict", "basis", "probability_pays_high", "money_at_stake", "spend", "roi"]
_SWAPS = ["model_a", "model_b", "channel_a", "channel_b", "difference", "probability"]
_FLIPS = {
    "days_to_flip": "change in lookback (days)",
    "margin_points_to_flip": "change in margin (points)",
    "cost_to_flip": "missing cost",
    "lost_touchpoints_to_flip": "own touchpoints lost (share)",
    "others_lost_to_flip": "other touchpoints lost (share)",
    "share_to_break_even": "share of credit to break even",
}


class SensitivitySection(Section):
    """Every specification, verdicts, what would change them, and the regret of acting on one model."""

    name = "sensitivity"
    options = SensitivityOptions
    declared = SENSITIVITY_TABLES

    def check_journeys(self, context: RunContext) -> None:
        """Refuse choices that these data do not allow, and journeys that brought nothing."""
        check_sensitivity(context.experiment, context.sources, context.journeys, context.terms)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """All of them, see `sensitivity_tables`; rows that are of a table of resampling are added to it."""
        tables = sensitivity_tables(
            context.experiment,
            context.sources,
            context.journeys,
            context.models,
            context.terms,
            failed=failed_checks(context.tables),
        )
        calibrated = context.memory.get(CALIBRATION)
        if calibrated is not None:
            options, returns = sensitivity_options(context.experiment), main_basis(context.returns)
            tables["verdicts"] = with_tested(tables["verdicts"], calibrated.calibration, returns, options)
        shared = {name: table for name, table in context.tables.items() if name in tables}
        return tables | {name: _join_notes([table, tables[name]]) for name, table in shared.items()}

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """Channels that its options call direct, and that are nowhere."""
        names, table = sensitivity_options(context.experiment).direct_channels, "touchpoints"
        return absent_direct("sensitivity.direct_channels", names or (), context.journeys.dimensions.channels, table)

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """Of the run: how many verdicts of each kind, what each rests on, and regret."""
        return {} if model is not None else sensitivity_metrics(tables)

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """A curve over all specifications of each channel that most depends on them, and the grid of regret."""
        if "specifications" not in tables:
            return ()
        table = compared_rows(tables["specifications"])
        figures = [
            FigureSpec("specification_curve", {"specifications": table, "channel": channel, "number": number})
            for number, channel in enumerate(curve_channels(table), start=1)
        ]
        if "regret" in tables:
            figures.append(FigureSpec("regret_chart", {"regret": tables["regret"]}))
        return figures

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """Verdicts, what would change them, regret."""
        if "verdicts" not in tables:
            return None
        return ReportPart(
            contents=(("sensitivity", "How far to trust the ranking"),),
            template="sensitivity.html.j2",
            values=_template_values(tables),
        )


def sensitivity_tables(
    experiment: Experiment,
    sources: Sources,
    journeys: Journeys,
    models: Sequence[AttributionModel],
    terms: Terms,
    *,
    failed: Mapping[str, str] | None = None,
) -> dict[str, pd.DataFrame]:
    """The tables of `[sensitivity]`.

    Parameters
    ----------
    experiment : its ``[sensitivity]`` says what to try
    sources : the input tables
    journeys : the run's own
    models : fitted on them
    terms : what counts as return and as cost
    failed : models that fail a check, and why: no verdict and no regret rests on them

    Raises
    ------
    InputError
        If no channel has an ROI, nothing converted, or a choice is named that these data do not allow.
    """
    options = sensitivity_options(experiment)
    grid, read = draw_grid(experiment, sources, journeys, models, terms)
    grid = replace(grid, failed=failed or {})
    last_touch = next((model.label for model in models if isinstance(model, LastTouch)), None)
    most = most_returned(grid, last_touch, read.touched)
    # Allocated and incremental credit are never put together.
    each = [grid.of(estimand) for estimand in dict.fromkeys(grid.estimands)]
    # What stands beside the models of an experiment is not acted on against them.
    chosen = {model.label for model in models[: len(experiment.models)]}
    acted_on = [part for part in each if chosen & set(part.models)]
    return {
        "specifications": specification_table(grid, options.level),
        "rank_probability": _join_notes([joint_ranks(part) for part in each]),
        "differences": _join_notes([rank_swaps(part) for part in each]),
        "roi_variance": _join_notes([roi_variance(part) for part in each]),
        "verdicts": _join_notes([verdict_table(part, options, read.maturity, most) for part in each]),
        "regret": _join_notes([regret_table(part, options) for part in acted_on]),
    }


def _join_notes(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def sensitivity_metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Metrics of the tables of a run, by name; none without the section.

    Examples
    --------
    >>> sensitivity_metrics({})
    {}
    """
    if "verdicts" not in tables:
        return {}
    metrics: dict[str, float] = {}
    for estimand, verdicts in tables["verdicts"].groupby("estimand", sort=False):
        of = "" if estimand == "allocated" else f"{estimand}_"
        metrics |= {f"{of}verdicts_{verdict}": float((verdicts["verdict"] == verdict).sum()) for verdict in _COUNTED}
        for name in _BY_CHANNEL:
            # The ends of the intervals here are over all specifications, not those of one model.
            key = name.replace("roi_", "roi_any_")
            with_value = verdicts[verdicts[name].notna()]
            metrics |= {f"{of}{key}/{row.channel}": float(getattr(row, name)) for row in with_value.itertuples()}
    for row in tables["roi_variance"].itertuples(index=False):
        of = "" if row.estimand == "allocated" else f"{row.estimand}_"
        metrics[f"{of}variance_share_{row.source}/{row.channel}"] = float(row.share)
    for estimand, regret in tables["regret"].groupby("estimand", sort=False):
        of = "" if estimand == "allocated" else f"{estimand}_"
        metrics |= {
            f"{of}minimax_regret": float(regret["worst"].min()),
            f"{of}worst_regret": float(regret["worst"].max()),
        }
    return metrics


def curve_channels(specifications: pd.DataFrame) -> list[str]:
    """Channels worth a curve: those with most spend × (highest − lowest ROI), at most `MOST_CURVES`."""
    with_roi = specifications[specifications["roi"].notna()]
    by_channel = with_roi.groupby("channel")
    at_stake = (by_channel["roi"].max() - by_channel["roi"].min()) * by_channel["spend"].mean()
    return sorted(at_stake.index, key=lambda name: (-at_stake[name], name))[:MOST_CURVES]


def _template_values(tables: Mapping[str, pd.DataFrame]) -> dict[str, object]:
    """What the template shows. Wide tables, unlike those of a run: they are read and never computed with."""
    verdicts, regret = tables["verdicts"], tables["regret"]
    ranks, pairs = tables["rank_probability"], tables["differences"]
    ranks, swaps = ranks[ranks["model"] == ALL_MODELS], pairs[pairs["measure"] == ORDER]
    key = ["estimand"] if verdicts["estimand"].nunique() > 1 else []
    flips = verdicts[[*key, "channel", "verdict", *_FLIPS]].rename(columns=_FLIPS)
    often = swaps[swaps["probability"] > 0.5].sort_values("probability", ascending=False, kind="stable")
    return {
        "notes": notes_of(tables),
        "verdicts": verdicts[[*key, *_VERDICTS, "roi_low", "roi_high"]],
        "flips": flips,
        "variance": _variance_grid(tables["roi_variance"], key),
        "ranks": ranks.drop(columns="model"),
        "swaps": often[_SWAPS] if len(often) else None,
        "regret": regret.drop(columns=[] if key else ["estimand"]) if len(regret) else None,
        "specifications": tables["specifications"],
    }


def notes_of(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What the report says of verdicts and of acting on a model, in sentences."""
    verdicts = tables["verdicts"]
    notes = list(one_per_channel(verdicts)["says"].str.removesuffix(NOT_INCREMENTAL))
    apart = beyond_chance(tables.get("credit", pd.DataFrame()))
    for estimand, part in tables["regret"].groupby("estimand", sort=False):
        if part["if_right"].nunique() < 2:
            continue  # If the only model is right, it is best to act on it.
        if estimand == "allocated" and len(apart) and not apart["is_other"].any():
            notes.append("No credit differs surely from what chance gives, so no model is a reason to move money.")
        else:
            notes.append(_say_regret(part))
    if (verdicts["estimand"] == "allocated").any():
        notes.append(
            "Allocated credit is not incremental. If ads reach people who would buy anyway, credit overstates "
            "their effect by "
            "more than any of these choices. Only experiments can show by how much (docs/credit-is-not-cause.md)."
        )
    assumptions = verdicts["assumptions"].dropna().unique()
    if len(assumptions):
        notes.append(
            "Incremental verdicts depend on assumptions that models did not learn from the data "
            f"({'; '.join(assumptions)}). They "
            "are as good as the source of these assumptions."
        )
    return notes


def _say_regret(regret: pd.DataFrame) -> str:
    """The choice whose largest loss is the smallest, if it surely loses less than changing nothing."""
    worst = regret.loc[regret.groupby("acting_on", sort=False)["regret"].idxmax()].set_index("acting_on")
    chosen = worst[worst["is_minimax"]].iloc[0]
    if chosen.name == NO_CHANGE or not chosen["regret_high"] < worst.at[NO_CHANGE, "regret_low"]:
        return "Whether acting on any model loses less than changing nothing is not known, if another model is right."
    return (
        f"Acting on {chosen.name} loses less than changing nothing, whichever of these models is right: at most "
        f"{chosen['worst']:,.0f} on average ({chosen['regret_low']:,.0f} to {chosen['regret_high']:,.0f})."
    )


def _variance_grid(variance: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """A column per source."""
    grid = variance.pivot(index=["estimand", "channel"], columns="source", values="share")
    grid = grid[list(dict.fromkeys(variance["source"]))].reset_index()
    return grid.rename_axis(columns=None)[[*key, *grid.columns[1:]]]
