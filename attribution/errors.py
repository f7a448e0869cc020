"""What can go wrong, by whose hand: the request, the data, a law, the tracking server."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AttributionError(Exception):
    """Base of every error raised on purpose; ``exit_code`` is what the command line returns for it.

    Examples
    --------
    >>> import attribution as at
    >>> try:
    ...     at.load_world("nowhere")
    ... except at.AttributionError as error:
    ...     print(type(error).__name__, error.exit_code)
    InputError 2
    """

    exit_code = 1


class InputError(AttributionError):
    """The data or the request is wrong. Nothing has been written.

    Parameters
    ----------
    problem : what is wrong, one sentence
    given : what was given; left out of the message if None
    allowed : what would be right, a text or several values
    hint : what to do about it

    Attributes
    ----------
    problem, given, hint : as they were passed

    Examples
    --------
    >>> print(InputError("no such channel", given="serch", allowed=["mail", "search"], hint="did you mean 'search'?"))
    no such channel. Given: serch. Allowed: mail, search. Hint: did you mean 'search'?
    """

    exit_code = 2

    def __init__(self, problem: str, *, given: object = None, allowed: object = None, hint: str | None = None) -> None:
        self.problem, self.given, self.hint = problem, given, hint
        parts = [text if (text := str(problem)).endswith("?") else text.rstrip(".") + "."]
        if given is not None:
            parts.append(f"Given: {given}.")
        if allowed is not None:
            parts.append(f"Allowed: {_join(allowed)}.")
        if hint is not None and (text := str(hint)):
            parts.append(f"Hint: {text.rstrip('.')}" + ("" if text.endswith("?") else "."))
        # One line, whatever was quoted in it: it ends up in the logs of nightly jobs.
        super().__init__(shorten(" ".join(" ".join(parts).split())))


class UnavailableError(InputError):
    """Something outside is in the way: a server that is away, a lock that is held, a full disk. Nothing was written.

    The request is right: the same call may succeed later, so a scheduler tries it again.

    Parameters
    ----------
    problem, given, allowed, hint : as for `InputError`

    Examples
    --------
    >>> print(UnavailableError("another job is at work in scores", hint="wait for it to end"))
    another job is at work in scores. Hint: wait for it to end.
    >>> UnavailableError.exit_code
    4
    """

    exit_code = 4


class LawError(AttributionError):
    """A model broke a law it must obey, such as credit adding up to the conversions.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import attribution as at
    >>> class LessThanNothing(at.AttributionModel):
    ...     def weigh(self, chunk):
    ...         return np.full(len(chunk.channel), -1.0)
    >>> sources = at.load_sources(paths=pd.DataFrame({"path": ["mail > search"], "conversions": [2]}))
    >>> at.attribute(at.build_journeys(sources), LessThanNothing())
    Traceback (most recent call last):
    attribution.errors.LawError: model 'less_than_nothing': weights must be finite and not negative
    """

    exit_code = 3


class TrackingError(AttributionError):
    """The run is complete and on disk, but could not be logged.

    Parameters
    ----------
    message : what is wrong
    is_passing : whether the same call may succeed later; if not, something must be mended first

    Examples
    --------
    The tables of the run are kept, so a job can go on and log them later.

    >>> try:
    ...     raise TrackingError("the tracking server does not answer")
    ... except TrackingError as error:
    ...     print(error, error.exit_code)
    the tracking server does not answer 4
    """

    def __init__(self, message: str, *, is_passing: bool = True) -> None:
        super().__init__(message)
        self.is_passing = is_passing
        self.exit_code = UnavailableError.exit_code if is_passing else InputError.exit_code

    def refuse(self, problem: str, *, hint: str) -> InputError:
        """The same where nothing was written yet: to be tried again, or to be mended."""
        return (UnavailableError if self.is_passing else InputError)(problem, hint=hint)


def shorten(text: str, most: int = 1_200) -> str:
    """``text`` with its middle left out if it is too long to be read.

    Examples
    --------
    >>> shorten("abcdefghij", most=7)
    'abc…hij'
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


def did_you_mean(name: str, words: Iterable[str]) -> str | None:
    """A hint naming the known word closest to ``name``, or None.

    Examples
    --------
    >>> did_you_mean("lookbak_days", ["lookback_days", "conversions"])
    "did you mean 'lookback_days'?"
    """
    word = closest_word(name, words)
    return None if word is None else f"did you mean {word!r}?"


def closest_word(name: str, words: Iterable[str]) -> str | None:
    """The known word that is spelled most like ``name``, in any case of letters; None if none is.

    Examples
    --------
    >>> closest_word("emial", ["email", "search"]), closest_word("EMAIL", ["email", "search"])
    ('email', 'email')
    """
    spelled = {word.casefold(): word for word in words}
    close = get_close_matches(name.casefold(), spelled, n=1, cutoff=0.6)
    return spelled[close[0]] if close else None


def _join(allowed: object) -> str:
    if isinstance(allowed, str) or not isinstance(allowed, Iterable):
        return str(allowed)
    return ", ".join(str(item) for item in allowed)
