"""All checks of data quality, in the order of the report."""

from __future__ import annotations

from attribution.data.loading.findings import Finding
from attribution.data.loading.load import Sources
from attribution.data.quality.bots import check_bots, check_loaded_twice
from attribution.data.quality.change import check_channel_changes, raw_timeline
from attribution.data.quality.clocks import check_clocks, is_day_only
from attribution.data.quality.cost_gaps import check_spend
from attribution.data.quality.extent import check_beginning, check_ends, without_strays
from attribution.data.quality.matching import check_customers
from attribution.data.quality.page_views import check_page_views
from attribution.data.quality.timeline import Timeline, read_timeline
from attribution.data.quality.values import check_currencies, check_macros, check_null_jumps, check_values
from attribution.schema.experiment import DEFAULT_LOOKBACK_DAYS, Period


def quality_findings(
    sources: Sources, *, period: Period | None = None, lookback_days: float | None = None, merges: bool = False
) -> list[Finding]:
    """What the canonical tables show that no reader can refuse: one finding per check and table.

    A check that a table is missing for, or that needs times where there are only positions, gives none.
    Drift between files is another matter, see `drift_findings`.

    Parameters
    ----------
    sources : the loaded tables
    period : the analysis period
    lookback_days : the lookback window; 30 days unless set
    merges : whether touchpoints that repeat the one before will be merged

    Examples
    --------
    >>> import pandas as pd
    >>> from attribution.data.loading import load_sources
    >>> sources = load_sources(
    ...     pd.DataFrame({"customer_id": ["a"], "touched_at": [1], "channel": ["mail"]}),
    ...     pd.DataFrame({"customer_id": ["b"], "converted_at": [2], "value": [5.0]}),
    ... )
    >>> [finding.check for finding in quality_findings(sources) if finding.status == "fail"]
    ['unmatched_customers']
    """
    period = period or Period()
    timelines: dict[str, Timeline] = {}
    findings: list[Finding] = []
    for table in ("touchpoints", "conversions", "costs"):
        timeline = read_timeline(sources, table)
        if timeline is not None:
            findings += check_null_jumps(timeline)
            if table != "costs":
                timeline, strays = without_strays(timeline)
                findings.append(strays)
            timelines[table] = timeline
    if (raw := raw_timeline(sources)) is not None:
        findings += check_null_jumps(raw)
    findings += check_channel_changes(sources)
    findings += check_macros(sources)
    touchpoints, conversions = timelines.get("touchpoints"), timelines.get("conversions")
    if sources.has("touchpoints"):
        findings.append(check_bots(sources))
    if sources.has("touchpoints") and conversions is not None:
        findings += check_customers(sources)
    if touchpoints is not None and not touchpoints.is_order:
        if not is_day_only(touchpoints):
            findings.append(check_loaded_twice(sources))
            if not merges and not any(finding.check == "visits" for finding in sources.findings):
                findings.append(check_page_views(sources))
        if conversions is not None:
            window = DEFAULT_LOOKBACK_DAYS if lookback_days is None else lookback_days
            findings += check_clocks(sources, touchpoints, conversions)
            findings += check_ends(touchpoints, conversions, period)
            findings += check_beginning(sources, touchpoints, conversions, period=period, lookback_days=window)
    if sources.has("conversions", "value"):
        findings += check_values(sources)
    if sources.has("costs"):
        findings += check_spend(sources, None if sources.integer_times else touchpoints, period)
    findings += check_currencies(sources)
    return findings
