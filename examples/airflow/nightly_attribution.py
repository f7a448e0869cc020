"""The nightly jobs as an Airflow DAG: score, summarise, monitor, and a refit where something drifted.

Every task is one command in a container, whose exit code says what came of it: 0 done, 2 the input is wrong, 3 the
verdict is negative. Credentials are variables of the container's environment; no command takes one as an argument.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.exceptions import AirflowSkipException
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator

SHOP = "/srv/shop"
DRIFTED = 3


def monitored() -> None:
    """Go on to the refit if something drifted; skip it if nothing did; fail if the log lacks something, or else."""
    import json
    import subprocess

    command = ["attribution", "monitor", "summaries", "--recent-days", "7", "--training-days", "90", "--log", "json"]
    done = subprocess.run([*command, "--json"], cwd=SHOP, check=False, stdout=subprocess.PIPE)
    if done.returncode == 0:
        raise AirflowSkipException("no drift")
    # A model is not fitted on days that lack something.
    if done.returncode != DRIFTED or not json.loads(done.stdout)["guards_hold"]:
        raise RuntimeError(f"attribution monitor ended with {done.returncode}")


with DAG(
    "nightly_attribution",
    schedule="15 3 * * *",
    start_date=dt.datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": dt.timedelta(minutes=10)},
) as dag:
    # A second job on the same folder is refused by a lock; a job that was killed goes on where it was.
    score = BashOperator(
        task_id="score",
        cwd=SHOP,
        bash_command=(
            "attribution score models/shop --touchpoints 'log/touchpoints/*.parquet' "
            "--conversions 'log/conversions/*.parquet' --out scored --log json"
        ),
    )
    summarise = BashOperator(
        task_id="summarise",
        cwd=SHOP,
        bash_command="attribution summarise nightly.toml --to summaries --log json",
    )
    monitor = PythonOperator(task_id="monitor", python_callable=monitored)
    refit = BashOperator(
        task_id="refit",
        cwd=SHOP,
        bash_command="attribution refit summaries --days 90 --refresh models/shop --log json",
    )
    score >> summarise >> monitor >> refit
