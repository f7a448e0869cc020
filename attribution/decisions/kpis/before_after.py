"""Before and after a change: what would have happened without it, from the series itself and from controls."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from attribution.amounts import pluralise
from attribution.arguments import check_arguments
from attribution.decisions.kpis.kpis_declared import BEFORE_AFTER
from attribution.errors import InputError

Floats = NDArray[np.float64]

FEWEST_BEFORE = 30
"""With fewer points before the change, nothing is known of how the series moves by itself."""

FEWEST_STRETCHES = 2
"""With a single stretch to judge by, nothing short of an effect of many standard errors could be told from chance."""

_MOST_PLACEBOS = 20
_NO_CONTROL = "there is no control series, so the effect includes every other change on that day"


class Judgement(NamedTuple):
    """How surely an effect is more than chance: both answer one question, and are NaN where there is no answer.

    ``p_value`` is at most 1 − level exactly where 0 lies further than ``half`` (of the interval) from the effect.
    """

    p_value: float
    half: float


class Effect(NamedTuple):
    """The mean effect over the points after a change, and what the model alone thinks of its error."""

    observed: float
    expected: float
    spread: float


@check_arguments
def before_after(
    series: pd.DataFrame,
    *,
    measure: str,
    on: dt.date,
    controls: Sequence[str] = (),
    day: str = "day",
    what: str = "change",
    level: float = 0.9,
) -> pd.DataFrame:
    """The ``before_after`` table of one change.

    A local level with an autoregressive error, and the controls as regressors, is fitted to the time before, and
    carried on over the time after as if nothing had changed. The effect is what was observed less that.
    Its interval leaves out that parameters are estimated, and is too narrow; so the same is done for changes that were
    never made, at points in the time before (placebos in time), and the interval is widened until it is as wide as
    their effects say. Placebos overlap, and say no more than the stretches as long as the time after that lie side by
    side in the time before. So the interval and ``p_value`` are those of Student's t, with as many degrees of freedom
    as there are such stretches (at most as many as placebos are made; one less where the time before is too short for
    any placebo). Below 2 both are null.

    Parameters
    ----------
    series : one row per day, equally spaced
    measure : column that the change may have moved
    on : first day after the change
    controls : columns that move with ``measure`` and that the change cannot have moved
    day : column of days
    what : what was changed, for the table
    level : nominal coverage

    Returns
    -------
    DataFrame
        One row: what was ``observed`` and ``expected`` per day after the change, the ``effect`` with ``low`` and
        ``high`` and ``p_value``, its sum over the days, how far the interval was widened, and warnings.

    Raises
    ------
    InputError
        If columns are missing, days are not equally spaced or repeated, values are missing or the time before is too
        short.

    References
    ----------
    .. [1] K. H. Brodersen, F. Gallusser, J. Koehler, N. Remy, S. L. Scott, "Inferring causal impact using Bayesian
       structural time-series models", Annals of Applied Statistics 9, 2015 (the idea; here by maximum likelihood).

    Examples
    --------
    A new checkout on 15 February; orders a day go up by about 20.

    >>> import attribution as at
    >>> orders = np.random.default_rng(0).normal(100.0, 1.0, 60).round(2) + np.where(np.arange(60) >= 45, 20.0, 0.0)
    >>> series = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60), "orders": orders})
    >>> table = at.before_after(series, measure="orders", on=dt.date(2024, 2, 15), what="new checkout")
    >>> table[["effect", "low", "high"]].round(1).values.tolist()
    [[20.2, 19.3, 21.1]]
    """
    if not 0 < level < 1:
        raise InputError("before_after: level must be a coverage", given=level, allowed="numbers between 0 and 1")
    observed, control_values, split, on = _arrays(series, measure, on, controls, day)
    after = len(observed) - split
    # One thread: matrices of three rows gain nothing by more, and bytes stay the same.
    with threadpool_limits(1):
        effect, params = _effect(observed, control_values, split)
        placebos = _placebos(observed[:split], control_values[:split], after, params)
    size = effect.observed - effect.expected
    scores = np.array([(each.observed - each.expected) / each.spread for each in placebos if each.spread > 0])
    stretches = count_stretches(split, after, bool(placebos))
    judged = judge(size, effect.spread, scores, stretches, level)
    row: dict[str, Any] = {
        "change": what,
        "measure": measure,
        "changed_on": on.isoformat(),
        "controls": ", ".join(controls),
        "days_before": split,
        "days_after": after,
        "observed": effect.observed,
        "expected": effect.expected,
        "effect": size,
        "low": size - judged.half,
        "high": size + judged.half,
        "total_effect": size * after,
        "p_value": judged.p_value,
        "widened_by": judged.half / (float(norm.ppf(0.5 + level / 2)) * effect.spread),
        "placebos": len(scores),
        "warning": "; ".join(_warnings(controls, len(scores), stretches, split, after)),
    }
    return pd.DataFrame([row])[list(BEFORE_AFTER.column_names)]


def count_stretches(before: int, after: int, has_placebos: bool) -> int:
    """Stretches of ``after`` points by which the error of an effect is known, as degrees of freedom.

    The model is fitted to all points before, so all stretches among them that do not overlap count, but no more than
    placebos are made. Where no placebo holds the model against what it did not see, it has one less.

    Examples
    --------
    >>> count_stretches(100, 30, True), count_stretches(30, 10, False), count_stretches(365, 1, True)
    (3, 2, 20)
    """
    return max(min(before // after, _MOST_PLACEBOS) - (not has_placebos), 0)


def judge(size: float, spread: float, scores: Floats, stretches: int, level: float) -> Judgement:
    """Hold an effect against chance.

    Parameters
    ----------
    size, spread : the effect, and what the model alone thinks of its error
    scores : (placebos,) effects of changes that were never made, in units of the error of each
    stretches : independent ones, see `count_stretches`
    level : nominal coverage
    """
    # Under a model whose error is right, placebo effects in units of it have a mean square of 1.
    error = spread * (max(1.0, float(np.sqrt(np.mean(scores**2)))) if len(scores) else 1.0)
    if stretches < FEWEST_STRETCHES or not error > 0:
        return Judgement(np.nan, np.nan)
    p_value = 2 * float(student.sf(abs(size) / error, stretches))
    return Judgement(p_value, float(student.ppf(0.5 + level / 2, stretches)) * error)


def fewest_before(after: int) -> int:
    """Points before a change that an interval of the ``after`` points from there on needs.

    Examples
    --------
    >>> [fewest_before(after) for after in (1, 10, 12, 30, 60)]
    [30, 30, 36, 60, 120]
    """
    with_placebos = max(FEWEST_STRETCHES * after, FEWEST_BEFORE + after)
    return max(FEWEST_BEFORE, min(with_placebos, (FEWEST_STRETCHES + 1) * after))


def _warnings(controls: Sequence[str], placebos: int, stretches: int, before: int, after: int) -> list[str]:
    messages = [] if controls else [_NO_CONTROL]
    if stretches < FEWEST_STRETCHES:
        # A series that had not moved yet has no placebo, however long it is.
        needed = fewest_before(after) if before < fewest_before(after) else (FEWEST_STRETCHES + 1) * after
        messages.append(
            f"interval and p_value are unknown: {after} points after the change need at least {needed} "
            f"points before, and there are {before}; give more points before, or fewer after"
        )
    elif placebos < 10:
        messages.append(
            f"the interval rests on the model: {before} points before and {after} after the change allow only "
            f"{pluralise(placebos, 'placebo')} to check it; give more points before, or fewer after"
        )
    return messages


def _arrays(
    series: pd.DataFrame, measure: str, on: dt.date, controls: Sequence[str], day: str
) -> tuple[Floats, Floats, int, dt.date]:
    """The series and its controls in order of time, and where the time after begins."""
    missing = [name for name in (day, measure, *controls) if name not in series.columns]
    if missing:
        raise InputError(f"before_after: the series has no column {missing[0]!r}", allowed=list(series.columns))
    if measure in controls or len(set(controls)) < len(controls):
        raise InputError(
            "before_after: controls must be other series than the measure, each of them once",
            given=f"measure {measure!r}, controls {', '.join(map(repr, controls))}",
        )
    try:
        days = pd.to_datetime(series[day])
    except (ValueError, TypeError) as error:
        reason = str(error).partition(". ")[0]
        raise InputError(
            f"before_after: column {day!r} does not hold days: {reason}", allowed="days such as 2024-04-03"
        ) from None
    days = days if days.dt.tz is None else days.dt.tz_localize(None)
    table = series.assign(**{day: days}).sort_values(day)
    numbers = table[[measure, *controls]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    if not np.isfinite(numbers).all():
        bad = [measure, *controls][int(np.flatnonzero(~np.isfinite(numbers).all(axis=0))[0])]
        raise InputError(f"before_after: column {bad!r} has days without a number", hint="fill or drop these days")
    steps = table[day].diff().dropna().unique()
    if len(steps) != 1 or steps[0] <= pd.Timedelta(0):
        raise InputError(
            "before_after: days are not equally spaced",
            given=f"steps of {sorted({str(pd.Timedelta(step)) for step in steps})[:3]}",
            hint="one row per day or one per week; a day without sales needs a row with 0",
        )
    split = int((table[day] < pd.Timestamp(on)).sum())
    if split < FEWEST_BEFORE or split == len(table):
        raise InputError(
            f"before_after: {split} points before {on} and {len(table) - split} from then on",
            allowed=f"at least {FEWEST_BEFORE} before and 1 after",
        )
    return numbers[:, 0], numbers[:, 1:], split, on


def _effect(observed: Floats, control_values: Floats, split: int, start: Floats | None = None) -> tuple[Effect, Floats]:
    """Of a change at ``split``, over all points from there on; and the parameters, fitted to the points before."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    size = float(observed[:split].std())
    if size == 0:
        raise InputError("before_after: the series is constant before the change", given=f"always {observed[0]:g}")
    # In units of the time before: the first guess of the filter is of a fixed size.
    series, controls = (_standard(of, split) for of in (observed[:, None], control_values))
    settings: dict[str, Any] = {"level": "llevel", "autoregressive": 1, "mle_regression": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = UnobservedComponents(series[:split, 0], exog=_or_none(controls[:split]), **settings)
        # Of the parameters nothing is asked but what they are: no smoothing, and no covariance.
        params = np.asarray(before.fit(disp=False, maxiter=200, start_params=start, return_params=True))
        unseen = np.where(np.arange(len(series)) < split, series[:, 0], np.nan)
        filtered = UnobservedComponents(unseen, exog=_or_none(controls), **settings).filter(params, cov_type="none")
    expected = float(observed[:split].mean()) + size * float(np.asarray(filtered.forecasts)[0, split:].mean())
    return Effect(float(observed[split:].mean()), expected, size * spread_of_mean(filtered, split)), params


def spread_of_mean(filtered: Any, split: int) -> float:
    """Standard deviation of the mean of the points from ``split`` on, which a filtered model has not seen.

    The mean is linear in the state at ``split`` and in the shocks to come, so that its variance is a sum of quadratic
    forms: no path has to be drawn. The weights of controls are part of the state, and so is what is not known of them.
    """
    system = filtered.filter_results
    transition, selection, shocks, noise = (
        getattr(system, name)[..., -1] for name in ("transition", "selection", "state_cov", "obs_cov")
    )
    shocked = selection @ shocks @ selection.T
    ends = system.nobs
    designs = np.broadcast_to(system.design, (*system.design.shape[:2], ends))
    reach = np.zeros((1, len(transition)))
    variance = (ends - split) * float(noise[0, 0])
    for point in reversed(range(split, ends)):
        # ``reach`` is what a shock adds to the sum of the points that are left after it.
        variance += float((reach @ shocked @ reach.T)[0, 0])
        reach = designs[..., point] + reach @ transition
    variance += float((reach @ system.predicted_state_cov[..., split] @ reach.T)[0, 0])
    result: float = float(np.sqrt(max(variance, 0.0))) / (ends - split)
    return result


def _standard(columns: Floats, split: int) -> Floats:
    before = columns[:split]
    if columns.shape[1] and (before.std(axis=0) == 0).any():
        raise InputError("before_after: a control series is constant before the change, so it cannot be used")
    return np.asarray((columns - before.mean(axis=0)) / before.std(axis=0))


def _or_none(controls: Floats) -> Floats | None:
    return controls if controls.shape[1] else None


def _placebos(observed: Floats, control_values: Floats, after: int, start: Floats) -> list[Effect]:
    """Effects of changes that were never made, over as many points each as follow the real one.

    Each is fitted to the points before it alone, as the real one is.
    """
    last = len(observed) - after
    if last < FEWEST_BEFORE:
        return []
    splits = np.unique(np.linspace(FEWEST_BEFORE, last, _MOST_PLACEBOS).astype(int))
    # A series that had not moved yet at a placebo has nothing to say there.
    moving = [
        int(split) for split in splits if np.vstack([observed[:split], control_values[:split].T]).std(axis=1).all()
    ]
    return [_effect(observed[: split + after], control_values[: split + after], split, start)[0] for split in moving]
