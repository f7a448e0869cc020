"""The script that MLflow loads to serve a scorer; the scorer itself lies beside it as a folder."""

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ScorerModel(PythonModel):
    """Allocates one conversion per row; see `attribution.production.scoring.rows.score_rows`."""

    def load_context(self, context: Any) -> None:
        """Load the scorer, which checks that nothing in its folder has changed.

        It may run what it was allowed to run by whoever registered it: this file and the package beside it are theirs.
        """
        from attribution.models.saved import Scorer

        self._scorer = Scorer.load(
            context.artifacts["scorer"], allow_own_code=bool(context.model_config.get("allow_own_code"))
        )

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Credit of the touchpoints of each row."""
        from attribution.production.scoring.rows import score_rows

        return score_rows(self._scorer, model_input)


set_model(ScorerModel())
