"""Every table as data: its name, its grain, its columns, their types and what they mean.

This folder is the dictionary of the whole project.
"""

from attribution.tables.definition import CONVERSION, NULL, RESERVED, START, UNATTRIBUTED, Column, ColumnType, Table
from attribution.tables.inputs import (
    CLICK_IDS,
    CODES,
    CONVERSIONS,
    COSTS,
    CUSTOMERS,
    IDENTITIES,
    INPUTS,
    PATHS,
    RAW_MARKETING,
    TOUCHPOINTS,
    TRUTH,
)
from attribution.tables.outputs import (
    AGREEMENT,
    CHANNEL_LINT,
    CREDIT,
    JOURNEY_CREDIT,
    JOURNEY_PROFILE,
    OUTPUTS,
    QUALITY,
    REMOVAL_EFFECTS,
    RETURNS,
    SEGMENT_CREDIT,
    TRANSITIONS,
)

__all__ = [
    "AGREEMENT",
    "CHANNEL_LINT",
    "CLICK_IDS",
    "CODES",
    "CONVERSION",
    "CONVERSIONS",
    "COSTS",
    "CREDIT",
    "CUSTOMERS",
    "IDENTITIES",
    "INPUTS",
    "JOURNEY_CREDIT",
    "JOURNEY_PROFILE",
    "NULL",
    "OUTPUTS",
    "PATHS",
    "QUALITY",
    "RAW_MARKETING",
    "REMOVAL_EFFECTS",
    "RESERVED",
    "RETURNS",
    "SEGMENT_CREDIT",
    "START",
    "TOUCHPOINTS",
    "TRANSITIONS",
    "TRUTH",
    "UNATTRIBUTED",
    "Column",
    "ColumnType",
    "Table",
]
