"""Daily summaries: what each day adds to every model, kept as small files, so that a refit reads no log."""

from __future__ import annotations

from attribution.production.refit.challenger import SUMMARIES, check_champion, make_challenger
from attribution.production.refit.days import day_name, day_number, history_of_days, summarise_days
from attribution.production.refit.definition import Definition
from attribution.production.refit.nights import Log, Tonight, choose_tonight, given_log
from attribution.production.refit.store import DayFile, LogState, SummaryStore, read_day, write_day
from attribution.production.refit.summary_guards import SummaryGuards, moved_share
from attribution.production.refit.window import Window, add_up, join_windows, read_window, refit

__all__ = [
    "SUMMARIES",
    "DayFile",
    "Definition",
    "Log",
    "LogState",
    "SummaryGuards",
    "SummaryStore",
    "Tonight",
    "Window",
    "add_up",
    "check_champion",
    "choose_tonight",
    "day_name",
    "day_number",
    "given_log",
    "history_of_days",
    "join_windows",
    "make_challenger",
    "moved_share",
    "read_day",
    "read_window",
    "refit",
    "summarise_days",
    "write_day",
]
