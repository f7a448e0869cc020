"""Channel rules: from utm tags, referrers, pages and click ids to channel and campaign."""

from attribution.data.channels.channel_rules import ChannelRules, Rule, read_rules
from attribution.data.channels.click_ids import read_click_ids
from attribution.data.channels.derive import derive_channels
from attribution.data.channels.evidence import RAW_COLUMNS
from attribution.data.channels.lint import lint_channels

__all__ = ["RAW_COLUMNS", "ChannelRules", "Rule", "derive_channels", "lint_channels", "read_click_ids", "read_rules"]
