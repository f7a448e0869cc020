"""Whether a model hands out the same credit wherever it runs: the scoring job, SQL, a column of Spark."""

from __future__ import annotations

import tempfile

from benchmarks.options import Options
from benchmarks.processes import Result, run_job
from benchmarks.report import Report
from benchmarks.text import table, verdict

GAP_TARGET = 1e-9
_WHAT = {"job": "scoring job", "sql": "SQL in DuckDB", "udf": "mlflow.pyfunc.spark_udf, local[2]"}


def measure_parity(options: Options, report: Report) -> None:
    """(l) the same journeys scored three ways, once each."""
    with tempfile.TemporaryDirectory(prefix="attribution-benchmark-") as folder:

        def run(job: str) -> Result:
            asked = {"job": job, "journeys": options.journeys, "folder": folder}
            return run_job(options.python, "parity_jobs", asked)

        made = run("prepare")
        report.note_versions("measured with", made.versions)
        report.say(f"\n(l) The same credit everywhere: {made.notes['conversions']:,} converting journeys, Markov model")
        rows: list[list[object]] = []
        for name in _WHAT:
            result = run(name)
            report.keep(f"parity {name}", 1, result, journeys=options.journeys)
            if "missing" in result.notes:
                report.say(f"{_WHAT[name]} is not measured: {result.notes['missing']}")
                continue
            rows.append([_WHAT[name], result.step(name).wall])
        report.say(table(["scored by", "wall s"], rows))
        for name, found in run("compare").notes.items():
            report.derive(f"parity {name}", found["gap"])
            aim = verdict(found["gap"], GAP_TARGET)
            report.say(
                f"{_WHAT['job']} and {_WHAT[name]}: {found['rows']:,} rows, {found['alone']:,} in one only, "
                f"largest difference of credit {found['gap']:.1e}{aim}"
            )
