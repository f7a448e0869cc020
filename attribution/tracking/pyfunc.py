"""The script that MLflow loads to serve a scorer; the scorer itself lies beside it as a folder."""

from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ScorerModel(PythonModel):
    """Allocates one conversion per row; see `attribution.production.scoring.rows.score_rows`."""

    def load_context(self, context: Any) -> None:
        """Load the scorer, which checks that nothing in its folder has changed, and compile what it runs.

        It may run what it was allowed to run by whoever registered it: this file and the package beside it are theirs.
        A server answers pings only after this, so the first request need not wait for the compiler.
        """
        from attribution.tracking.environment import check_environment

        check_environment()
        from attribution.models.saved import Scorer
        from attribution.production.scoring.row_columns import example_rows
        from attribution.production.scoring.rows import score_rows

        self._scorer = Scorer.load(
            context.artifacts["scorer"], allow_own_code=bool(context.model_config.get("allow_own_code"))
        )
        score_rows(self._scorer, example_rows(self._scorer))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Credit of the touchpoints of each row."""
        from attribution.errors import InputError
        from attribution.production.scoring.rows import score_rows

        try:
            return score_rows(self._scorer, model_input)
        except InputError as error:
            # What is not MLflow's own is "an unexpected error" to its server, which keeps the reason to itself.
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(ScorerModel())
