"""What the command line prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attribution import logs
from attribution.amounts import format_roi, percent
from attribution.schema.tables import NO_CHANNELS

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from attribution.decisions.budget import BudgetPlan
    from attribution.production.conversion_export import Credited
    from attribution.reporting.report.pages import Page
    from attribution.returns.ranking import Ranking
    from attribution.schema.experiment import Experiment
    from attribution.schema.glossary import Term
    from attribution.testing import Verdict


MOST_CAUSED = 12
"""Channels of which the terminal says what they caused: those with most spend."""


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Says what is being done on a terminal or in the log of a job, and nothing elsewhere."""
    if logs.is_json():
        yield logs.write
        return
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update


def warn(sentences: Iterable[str]) -> None:
    """Say on standard error what somebody should look at; in a log of JSON, a line each with its level."""
    for sentence in sentences:
        if logs.is_json():
            logs.write(sentence, level="warning")
        else:
            print(logs.mask_secrets(sentence, os.environ), file=sys.stderr)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects, nulls as null."""
    result: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return result


def print_json(document: object) -> None:
    """Print a document as JSON, in ASCII where the terminal knows nothing else."""
    text = json.dumps(document, ensure_ascii=False, indent=2)
    print(text if logs.is_shown(text, sys.stdout) else json.dumps(document, indent=2))


def print_ranking(experiment: Experiment, tables: Mapping[str, pd.DataFrame], ranking: Ranking) -> None:
    """ROI and rank of every channel under every model, beside the truth where it is known."""
    from rich.table import Table
    from rich.text import Text

    from attribution.pipeline.standing_sections import loud_findings
    from attribution.returns import main_basis
    from attribution.returns.returns_section import mark_failed
    from attribution.uncertainty.disagreement import disagreement_sentence
    from attribution.uncertainty.model_checks import failure_sentences
    from attribution.uncertainty.placebo import placebo_sentences

    # What stands beside the models of an experiment has a table of its own.
    by, labels = ranking.by, list(ranking.ranks.columns)[: len(experiment.models)]
    returns = main_basis(tables["returns"]).set_index(["channel", "model"])
    terms = experiment.returns
    ranks = ranking.ranks[labels].sort_values(labels[0])
    truth = tables["truth"].set_index("channel")["roi"] if "truth" in tables else None
    roi = f"ROI (on {terms.basis}, {terms.cost_basis} cost)"
    what = roi if by == "roi" else "credited conversions (there is no spend)"
    is_alike = (terms.basis, terms.cost_basis) == ("revenue", "media")
    truth_columns = [] if truth is None else ["truth" if is_alike else "truth (revenue)"]
    table = Table("channel", *mark_failed(labels, tables), *truth_columns, title=f"{what} and rank under each model")
    true_ranks = None if truth is None else truth.rank(ascending=False)
    for channel, row in ranks.iterrows():
        cells = [_cell(returns.loc[(channel, label), by], row[label], by) for label in labels]
        if truth is not None and true_ranks is not None:
            cells.append(_cell(truth.get(channel), true_ranks.get(channel), "roi"))
        table.add_row(Text(str(channel)), *cells)
    _console(30 + 18 * (len(labels) + 1)).print(table)
    unranked = sorted(set(returns.index.get_level_values("channel")) - set(ranks.index) - set(NO_CHANNELS))
    if unranked:
        lack = "because they have no spend" if terms.cost_basis == "media" else "because they have no costs"
        print(f"Not ranked, {lack}: {', '.join(unranked)}.")
    for sentence in (*loud_findings(tables), *failure_sentences(tables)):
        print(f"Warning: {sentence}")
    limit = disagreement_sentence(tables)
    if limit is not None:
        print(limit)
    for sentence in placebo_sentences(tables):
        print(sentence)
    print(
        "Credit divides the observed conversions. It is not the number that would be lost without the channel "
        "(docs/credit-is-not-cause.md)."
    )
    _print_caused(tables)
    if "lift_readings" in tables:
        from attribution.incrementality.lift_sentences import lift_sentences

        says = lift_sentences(tables["lift_readings"])
        if "incremental" in tables:
            from attribution.incrementality.calibration_section import calibration_sentences

            says = [*says, *calibration_sentences(tables)]
        print("\nLift tests:", *says, sep="\n- ")
    if "verdicts" in tables:
        from attribution.uncertainty.sensitivity.verdicts import NOT_INCREMENTAL, one_per_channel

        says = one_per_channel(tables["verdicts"])["says"].str.removesuffix(NOT_INCREMENTAL)
        print("\nVerdicts:", *says, sep="\n- ")


def _print_caused(tables: Mapping[str, pd.DataFrame]) -> None:
    """What channels caused beside what they are credited with, or why that cannot be told."""
    from rich.table import Table
    from rich.text import Text

    from attribution.incrementality.caused_section import (
        caused_grid,
        caused_table,
        left_out_sentences,
        unknown_sentences,
    )

    shown = caused_table(tables)
    if shown is None:
        for sentence in left_out_sentences(tables):
            print(sentence)
        return
    for sentence in unknown_sentences(shown):
        print(sentence)
    if not shown["is_known"].any():
        return
    rows = caused_grid(shown)
    table = Table(*rows.columns, title="conversions credited, and caused if touches are as good as random")
    for row in [*rows.iloc[:-1].head(MOST_CAUSED).itertuples(index=False), *rows.tail(1).itertuples(index=False)]:
        table.add_row(*(Text(cell) for cell in row))
    _console(100).print(table)
    more = len(rows) - 1 - MOST_CAUSED
    if more > 0:
        print(f"{more} more channels are in the report and in credit.csv.")


def _cell(value: float | None, rank: float | None, by: str) -> str:
    if value is None or rank is None or value != value:
        return "–"
    shown = format_roi(value) if by == "roi" else f"{value:,.1f}"
    return f"{shown}  #{rank:g}"


def print_quality(quality: pd.DataFrame) -> None:
    """Print the ``quality`` table, one line per check."""
    from rich.table import Table
    from rich.text import Text

    table = Table("status", "table", "check", "count", "share", "finding")
    colours = {"pass": "green", "warn": "yellow", "fail": "red"}
    for row in quality.itertuples():
        share = percent(row.count / row.total) if row.total and row.total > 0 else ""
        message = f"{row.message} (e.g. {row.example})" if row.example else row.message
        table.add_row(
            Text(row.status, colours[row.status]),
            row.table,
            row.check,
            f"{row.count:,.0f}",
            share,
            Text(message),
        )
    _console(140).print(table)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print one line per law, and how many hold."""
    from rich.table import Table
    from rich.text import Text

    table = Table("verdict", "law", "meaning")
    for verdict in verdicts:
        shown = Text("holds", "green") if verdict.holds else Text("broken", "red")
        meaning = Text(verdict.meaning)
        if verdict.reason is not None:
            meaning.append(f"\n{verdict.reason}", "red")
        table.add_row(shown, verdict.law, meaning)
    _console(140).print(table)
    broken = sum(not verdict.holds for verdict in verdicts)
    print(f"{broken} of {len(verdicts)} laws are broken." if broken else f"All {len(verdicts)} laws hold.")


def print_budget(plan: BudgetPlan) -> None:
    """Proposed spend of every channel under every model, the limits that bind, and what to know before acting."""
    from rich.table import Table
    from rich.text import Text

    rows = plan.tables["budget"].query("scenario == 'plan'")
    labels = list(dict.fromkeys(rows["model"]))
    what = (
        f"Spend with the highest {plan.options.objective.replace('_', ' ')} under each model, and its change from today"
    )
    table = Table("channel", "today", *labels, title=what)
    by_channel = rows.set_index(["channel", "model"])
    for channel in dict.fromkeys(rows["channel"]):
        proposals = [by_channel.loc[(channel, label)] for label in labels]
        cells = [f"{row['spend']:,.0f}  {format_roi(row['change'])}" for row in proposals]
        cells = [
            f"{cell}  {row['binding']}" if isinstance(row["binding"], str) else cell
            for cell, row in zip(cells, proposals, strict=True)
        ]
        table.add_row(Text(str(channel)), f"{proposals[0]['spend_today']:,.0f}", *cells)
    scenarios = plan.tables["budget_scenarios"].query("scenario == 'plan'").set_index("model")
    expected = [
        f"{row['return_today']:,.0f} → {row['return']:,.0f}" for row in (scenarios.loc[label] for label in labels)
    ]
    table.add_section()
    table.add_row("return", "", *expected)
    table.add_row(
        "return on one more unit of budget", "", *(f"{scenarios.loc[label, 'shadow_price']:,.3g}" for label in labels)
    )
    _console(40 + 26 * len(labels)).print(table)
    binding = plan.tables["budget_limits"].query("scenario == 'plan' and binds and limit != 'total'")
    for name, models in binding.groupby("limit", sort=False)["model"]:
        print(f"This limit holds spend back: {name} ({', '.join(models)}).")
    for note in plan.notes:
        print(note)


def print_page(page: Page) -> None:
    """The headline of a page, and what to know before acting on it."""
    for sentence in page.findings:
        print(sentence)
    for note in page.notes:
        print(f"Note: {note}")


def print_lift(readings: pd.DataFrame, sentences: Sequence[str], notes: Sequence[str]) -> None:
    """What tests say, their numbers, and what to know before believing them."""
    from rich.table import Table
    from rich.text import Text

    from attribution.incrementality.lift_sentences import lift_grid

    for sentence in sentences:
        print(sentence)
    grid = lift_grid(readings)
    level = 100 * readings["level"].iloc[0]
    table = Table(*grid.columns, title=f"What tests measured, with {level:.0f} % intervals")
    for row in grid.itertuples(index=False):
        table.add_row(*(Text(str(cell)) for cell in row))
    _console(140).print(table)
    for note in notes:
        print(f"Warning: {note}")
    rows = readings[readings["note"].notna()]
    for name, note in dict.fromkeys(zip(rows["test"], rows["note"], strict=True)):
        print(f"Note on {name}: {note}.")


def print_credited(credited: Credited) -> None:
    """Print what each campaign is credited with, and what is not exported."""
    from rich.table import Table
    from rich.text import Text

    table = Table("channel", "campaign", "conversions", "value", "by click id", title=f"Credit of {credited.model}")
    for row in credited.campaigns.itertuples():
        cells = (f"{row.conversions:,.2f}", f"{row.value:,.2f}", f"{row.with_click_id:,.2f}")
        table.add_row(Text(row.channel), Text(row.campaign or "–"), *cells)
    _console(120).print(table)
    for note in credited.notes:
        print(note)


def print_terms(terms: Sequence[Term]) -> None:
    """Print terms with what they mean, in both languages, and their formulas."""
    from rich.table import Table
    from rich.text import Text

    table = Table("term", "meaning", show_lines=True)
    for term in terms:
        meaning = "\n".join(filter(None, (term.means, term.formula and f"= {term.formula}", term.means_zh)))
        table.add_row(Text(f"{term.en}\n{term.zh}"), Text(meaning))
    _console(140).print(table)


def _console(width: int) -> Console:
    """A console that wraps to the terminal, and to ``width`` where there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, highlight=False, markup=False)
