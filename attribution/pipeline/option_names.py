"""Names in options of journeys, models and sections that are nowhere in the data, where nothing refuses them."""

from __future__ import annotations

from collections.abc import Sequence

from attribution.data.loading import Finding, count_finding
from attribution.journeys.direct_names import absent_direct
from attribution.journeys.refine import DIRECT, IMPRESSION
from attribution.models import LastNonDirect
from attribution.sections import RunContext


def option_name_findings(context: RunContext) -> list[Finding]:
    """One finding for each option that changes nothing in these data, or names what they do not have."""
    options, dimensions = context.experiment.journeys, context.journeys.dimensions
    table = "paths" if context.sources.has("paths") else "touchpoints"
    options_with_names: list[tuple[str, Sequence[str]]] = []
    if options.direct != "keep":
        options_with_names.append((f"journeys.direct = {options.direct!r}", options.direct_channels or DIRECT))
    # A model that leaves direct traffic out may well be run where there is none.
    own = (model for model in context.models if isinstance(model, LastNonDirect) and list(model.direct) != [*DIRECT])
    options_with_names += [(f"direct of model {model.label!r}", model.direct) for model in own]
    findings = [
        each
        for option, names in options_with_names
        for each in absent_direct(option, names, dimensions.channels, table)
    ]
    if options.view_through != "equal" or options.view_through_weight != 1:
        kinds = dimensions.values[dimensions.names.index("kind")] if "kind" in dimensions.names else ()
        if IMPRESSION not in kinds:
            what = f"their kinds are {', '.join(kinds)}" if kinds else "they have no kind"
            message = (
                f"journeys.view_through and view_through_weight change nothing, for no touchpoint is of kind "
                f"{IMPRESSION!r} ({what}): call impressions so, or leave the options out"
            )
            findings.append(count_finding("option_names", table, 1, message, example=IMPRESSION))
    return findings
