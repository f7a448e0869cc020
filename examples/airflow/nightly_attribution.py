"""The nightly jobs as a DAG of Airflow 3: score, summarise, monitor; if something drifted, refit and promote or page.

Every task is one command. Its exit code is the result: 0 done, 2 the input is wrong, 3 the verdict is negative, 4 try
again later. Credentials are environment variables; no command takes one as an argument.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

SHOP = os.environ.get("SHOP", "/srv/shop")
DRIFTED = 3


@task.short_circuit(task_id="monitor")
def has_drifted() -> bool:
    """Whether to go on to the refit. If the log lacks something, or monitor ends otherwise, the task fails."""
    command = ["attribution", "monitor", "summaries", "--recent-days", "7", "--training-days", "90", "--log", "json"]
    done = subprocess.run([*command, "--json"], cwd=SHOP, check=False, stdout=subprocess.PIPE)
    # A model is not fitted on days that lack something.
    if done.returncode not in (0, DRIFTED) or (done.returncode and not json.loads(done.stdout)["guards_hold"]):
        raise RuntimeError(f"attribution monitor ended with {done.returncode}")
    return done.returncode == DRIFTED


with DAG(
    "nightly_attribution",
    schedule="15 3 * * *",
    start_date=dt.datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": dt.timedelta(minutes=10)},
) as dag:
    # A lock refuses a second job on the same folder; a job that was killed continues where it stopped.
    score = BashOperator(
        task_id="score",
        cwd=SHOP,
        bash_command=(
            "attribution score models:/shop@champion --touchpoints 'log/touchpoints/*.parquet' "
            "--conversions 'log/conversions/*.parquet' --out scored --log json"
        ),
    )
    summarise = BashOperator(
        task_id="summarise",
        cwd=SHOP,
        bash_command="attribution summarise nightly.toml --to summaries --log json",
    )
    # The last two weeks are left for the judgement. A promotion restates nothing: it is in effect from today on.
    refit = BashOperator(
        task_id="refit",
        cwd=SHOP,
        bash_command=(
            "attribution refit summaries --days 90 --through $(date -u -d '14 days ago' +%F) "
            "--champion models:/shop@champion --out runs/refit --log json"
        ),
    )
    # It fails with exit code 3 if the refit misses a criterion; trying again would change nothing.
    promote = BashOperator(
        task_id="promote",
        cwd=SHOP,
        retries=0,
        bash_command=(
            "attribution promote shop --challenger runs/refit --holdout nightly.toml "
            "--set period.start=$(date -u -d '13 days ago' +%F) --requested-by airflow --log json"
        ),
    )
    score >> summarise >> has_drifted() >> refit >> promote
