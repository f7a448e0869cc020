"""Spark, for data beyond one machine. PySpark and sqlglot are imported when an engine is created, not before."""

from attribution.data.engine.spark.engine import SparkEngine

__all__ = ["SparkEngine"]
