"""The measured process of Spark: (e) from files to the credit of every model, on this machine."""

from __future__ import annotations

import time
from typing import Any

import attribution as at
from attribution.data.engine.spark.session import check_java, check_packages
from attribution.errors import InputError
from benchmarks.clock import Clock, arguments, peak_mb
from benchmarks.data import TINY, event_files
from benchmarks.event_jobs import credit_of, digest
from benchmarks.tree import TreeMemory, is_seen, tree_cpu

MASTER = "local[2]"


def missing() -> str | None:
    """What Spark needs and does not find here."""
    try:
        check_packages()
        check_java()
    except InputError as error:
        return str(error)
    return None


def credit(touchpoints: int, clock: Clock) -> dict[str, Any]:
    """(e): the session, a tiny input, and the files: all that one run waits for."""
    with clock.step("start"):
        first = at.SparkEngine(master=MASTER)
    with clock.step("tiny"):
        credit_of(event_files(TINY, "integer"), first)
    with clock.step("credit"):
        found = credit_of(event_files(touchpoints, "integer"), at.SparkEngine())
    first.close()
    return {"credit": digest(found)}


if __name__ == "__main__":
    asked = arguments()
    lacking = missing()
    whole = is_seen()
    clock = Clock(tree_cpu if whole else time.process_time)
    memory = TreeMemory() if whole else None
    notes = {"missing": lacking} if lacking else credit(asked["touchpoints"], clock)
    clock.report(peak_mb=memory.peak_mb if memory else peak_mb(), notes=notes | {"whole": whole})
