"""Code that a setting names as ``package.module:name``, and which of it may be named by data."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

CLASSIFIERS = (
    "sklearn.ensemble:ExtraTreesClassifier",
    "sklearn.ensemble:GradientBoostingClassifier",
    "sklearn.ensemble:HistGradientBoostingClassifier",
    "sklearn.ensemble:RandomForestClassifier",
    "sklearn.linear_model:LogisticRegression",
    "sklearn.naive_bayes:BernoulliNB",
    "sklearn.naive_bayes:GaussianNB",
    "sklearn.naive_bayes:MultinomialNB",
    "sklearn.tree:DecisionTreeClassifier",
)
"""Classifiers of scikit-learn that data may name: numbers and texts are all that they take."""

NAMED_CODE: Mapping[str, tuple[str, ...]] = {"classifier": CLASSIFIERS, "function": ()}
"""Settings of shipped models that name code, and the code that data may name."""


def load_by_path(path: str) -> Any:
    """The class or function ``package.module:name``; an error of its module is raised as it is."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
