"""Channel rules: from utm tags, referrers, pages and click ids to channel and campaign."""

from attribution.data.channels.channel_rules import ChannelRules, Rule, read_rules
from attribution.data.channels.click_ids import id_table, read_click_ids
from attribution.data.channels.derive import derive_channels, group_channels
from attribution.data.channels.evidence import Evidence, read_evidence
from attribution.data.channels.ignored_referrers import name_site
from attribution.data.channels.lint import Flaw, lint_channels, lint_evidence
from attribution.data.channels.spelling import MACRO

__all__ = [
    "MACRO",
    "ChannelRules",
    "Evidence",
    "Flaw",
    "Rule",
    "derive_channels",
    "group_channels",
    "id_table",
    "lint_channels",
    "lint_evidence",
    "name_site",
    "read_click_ids",
    "read_evidence",
    "read_rules",
]
