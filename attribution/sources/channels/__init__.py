"""Channel rules: from utm tags, referrers, pages and click ids to channel and campaign."""

from attribution.sources.channels.derive import derive_channels
from attribution.sources.channels.evidence import RAW_COLUMNS
from attribution.sources.channels.lint import lint_channels
from attribution.sources.channels.rules import ChannelRules, Rule, read_rules

__all__ = ["RAW_COLUMNS", "ChannelRules", "Rule", "derive_channels", "lint_channels", "read_rules"]
