"""Tables of earlier versions, in the tables of today: no number is lost, and those of today stay as they are."""

from __future__ import annotations

import pandas as pd

from attribution.decisions.migration import migrate_tables
from attribution.schema.tables import HELD_OUT


def tried_orders() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": "chain", "order": [1, 2], "log_loss": [0.9, 0.8], "log_loss_se": [0.01, 0.0], "auc": [0.6, 0.7],
            "aic": [110.0, 105.0], "bic": [120.0, 130.0], "states": [5, 17], "chosen": [False, True],
        }
    )  # fmt: skip


def scored_models() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": ["chain", "given", "game"], "order": pd.array([2, 3, None], dtype="Int64"),
            "per": ["step", "step", "journey"], "log_loss": [0.8, 0.7, 0.5], "auc": [0.7, 0.75, 0.8],
        }
    )  # fmt: skip


def test_orders_that_were_tried_stand_with_the_scores_of_other_models() -> None:
    tables = migrate_tables({"order_selection": tried_orders(), "held_out": scored_models()})
    assert list(tables) == ["held_out"]
    held = tables["held_out"]
    assert tuple(held.columns) == HELD_OUT.column_names
    assert held["model"].tolist() == ["chain", "chain", "given", "game"]
    assert held["per"].tolist() == ["step", "step", "step", "journey"]
    columns = tried_orders().columns
    pd.testing.assert_frame_equal(held.loc[:1, columns], tried_orders(), check_dtype=False)
    now = held[held["chosen"].fillna(True)].set_index("model")[["log_loss", "auc"]]
    pd.testing.assert_frame_equal(now, scored_models().set_index("model")[["log_loss", "auc"]])


def test_either_table_alone_is_held_out() -> None:
    assert migrate_tables({"order_selection": tried_orders()})["held_out"]["chosen"].tolist() == [False, True]
    alone = migrate_tables({"held_out": scored_models()})["held_out"]
    assert alone["chosen"].isna().all()
    pd.testing.assert_frame_equal(migrate_tables({"held_out": alone})["held_out"], alone)
