"""Pages that are not of one run: the review of two, and targets; as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jinja2
import pandas as pd
from markupsafe import Markup

from attribution.decisions.comparison import Comparison, Review, without_substitutes
from attribution.decisions.kpis import history, today
from attribution.incrementality.lift_sentences import lift_grid
from attribution.reporting.charts import Figure, drawable, to_svg
from attribution.reporting.report import shown

_LONG_TABLE = 30


@dataclass(frozen=True)
class Section:
    """One table of a page: what it is called, what it says, and the table."""

    name: str
    title: str
    says: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Page:
    """A page before it is written.

    Attributes
    ----------
    name, kind : what it is of, and what it is
    findings : its headline, in sentences
    sections : its tables
    notes : what to know before the numbers are read
    """

    name: str
    kind: str
    findings: Sequence[str]
    sections: Sequence[Section]
    notes: Sequence[str] = ()

    def html(self, figures: Sequence[Figure] = ()) -> str:
        """The page as HTML that needs nothing else; the same page gives the same text."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("attribution.reporting", "report"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["shown"] = shown
        text = environment.get_template("page.html.j2").render(
            name=self.name,
            kind=self.kind,
            findings=self.findings,
            # Drawn by us, escaped by the renderer: the one thing that enters the page as it is.
            figures=[(figure, Markup(to_svg(figure))) for figure in figures],
            sections=[replace(section, table=_with_none(section.table)) for section in self.sections],
            notes=self.notes,
            long_table=_LONG_TABLE,
        )
        return drawable(text)

    def markdown(self) -> str:
        """The page as Markdown."""
        lines = [f"# {_plain(self.name)}", "", _plain(self.kind), ""]
        lines += [f"- {_plain(sentence)}" for sentence in self.findings]
        for section in self.sections:
            lines += ["", f"## {_plain(section.title)}", "", _plain(section.says), "", *_table(section.table)]
        if self.notes:
            lines += ["", "## What to know", "", *(f"- {_plain(note)}" for note in self.notes)]
        return "\n".join(lines) + "\n"


def review_page(review: Review) -> Page:
    """The review of two runs as a page (R4)."""
    tables = review.tables
    changes = tables["roi_parts"]
    sections = [
        Section(
            "channels", "Channels", "Both runs side by side. (total) covers the channels with spend.", _sides(review)
        ),
        Section(
            "parts",
            "Why ROI changed",
            "How much each channel and each part adds to the change in total ROI. Rows and columns add up.",
            _grid(changes),
        ),
    ]
    alerts = without_substitutes(tables["alerts"])
    substitutes = tables["alerts"].drop(index=alerts.index)
    if len(alerts):
        says = "What changed by more than its threshold, under the first model."
        sections.append(Section("alerts", "Alerts", says, alerts.loc[:, :"message"]))
    if len(substitutes):
        says = (
            "Channels that play a similar part in journeys to a channel that declined. Its customers may be "
            "reached there."
        )
        shown = substitutes.drop(columns=["kind", "threshold", "beyond_sampling"])
        sections.append(Section("substitutes", "Likely substitutes", says, shown))
    name = f"{review.before} → {review.after}"
    return Page(name, "Attribution review", review.findings, sections, review.notes)


def targets_page(
    name: str, tables: Mapping[str, pd.DataFrame], findings: Sequence[str], notes: Sequence[str] = ()
) -> Page:
    """Targets, their history, changes and decisions as a page."""
    texts = {
        "kpis": (
            "Targets",
            "A target is undecided if the interval contains the threshold: the goal, or what of it is due by now.",
        ),
        "history": ("History", "The same metrics in earlier runs, oldest first."),
        "before_after": ("Before and after", "The effect of a change on a series, estimated from the series itself."),
        "decisions": ("Decisions", "What was expected of each decision, and the result so far."),
    }
    shown = {**tables, "kpis": _result(tables["kpis"]), "history": history(tables["kpis"])}
    sections = [Section(key, *texts[key], shown[key]) for key in texts if key in shown and len(shown[key])]
    always = (
        "Intervals cover sampling only, not bias. Credit divides the observed conversions; it is not incremental "
        "(docs/credit-is-not-cause.md)."
    )
    return Page(name, "Targets", findings, sections, [*notes, always])


def lift_page(name: str, readings: pd.DataFrame, findings: Sequence[str], notes: Sequence[str] = ()) -> Page:
    """Lift tests as a page."""
    says = "What each test found to be caused, with its interval, and what that cost."
    own = dict.fromkeys(f"{row.test}: {row.note}." for row in readings.dropna(subset="note").itertuples())
    section = Section("readings", "Tests", says, lift_grid(readings))
    return Page(name, "Lift tests", findings, [section], [*notes, *own])


def comparison_page(comparison: Comparison) -> Page:
    """Runs side by side as a page."""
    texts = {
        "comparison": ("Channels", "Every channel under every model and specification."),
        "agreement": ("Agreement", "How similarly each pair of models and specifications ranks the channels."),
    }
    sections = [Section(key, *texts[key], comparison.tables[key]) for key in texts]
    if comparison.verdicts is not None:
        says = (
            "Whether each channel is credited with more than its spend under all models and settings, by its intervals."
        )
        sections.insert(0, Section("verdicts", "Verdicts", says, comparison.verdicts))
    notes = [f"Difference from the first run: {note}" for note in comparison.notes]
    notes.append("Credit divides the observed conversions; it is not incremental (docs/credit-is-not-cause.md).")
    return Page(comparison.name, "Comparison", comparison.findings, sections, notes)


def _sides(review: Review) -> pd.DataFrame:
    """A row per model and channel, a column per run: read, and never computed with."""
    table = review.tables["comparison"]
    shown = ["spend", "conversions", "value", "roi", "rank"]
    before = table[table["specification"] == review.before].drop(columns="counterpart")
    before = before.rename(columns={"model": "counterpart"})[["counterpart", "channel", *shown]]
    after = table[table["specification"] == review.after]
    both = before.merge(after, on=["counterpart", "channel"], suffixes=(" before", " after"))
    keys = ["model", "counterpart"] if (both["model"] != both["counterpart"]).any() else ["model"]
    pairs = [f"{column} {when}" for column in shown for when in ("before", "after")]
    return both[[*keys, "channel", *pairs, "roi_change", "beyond_sampling"]].rename(
        columns={"counterpart": "model before", "roi_change": "roi change", "beyond_sampling": "beyond sampling"}
    )


def _result(kpis: pd.DataFrame) -> pd.DataFrame:
    """Targets against the run of today."""
    return today(kpis).drop(columns=["when", "run", "run_start", "run_end"])


def _grid(changes: pd.DataFrame) -> pd.DataFrame:
    """A row per model and channel, a column per part: read, and never computed with."""
    parts = list(dict.fromkeys(changes["part"]))
    keys = changes[["model", "slice"]].drop_duplicates()
    wide = changes.pivot(index=["model", "slice"], columns="part", values="total_change")[parts]
    wide = wide.reindex(pd.MultiIndex.from_frame(keys)).rename(columns={"model": "model change"})
    return (
        wide.assign(sum=wide.sum(axis=1, min_count=1))
        .rename_axis(["model", "channel"])
        .reset_index()
        .rename_axis(columns=None)
    )


def _table(table: pd.DataFrame) -> list[str]:
    head = ["| " + " | ".join(_plain(column) for column in table.columns) + " |", "|" + "---|" * len(table.columns)]
    rows = _with_none(table).itertuples(index=False, name=None)
    return [*head, *("| " + " | ".join(_plain(shown(value)) for value in row) + " |" for row in rows)]


def _with_none(table: pd.DataFrame) -> pd.DataFrame:
    """The table with None for whatever is not known."""
    return table.astype(object).where(table.notna(), None)


def _plain(text: object) -> str:
    """On one line, and without what Markdown reads as a table, a tag or emphasis."""
    line = " ".join(str(text).split())
    for sign in "\\|<>*_`[]#":
        line = line.replace(sign, f"\\{sign}")
    return line
