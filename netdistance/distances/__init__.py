"""Metrics over the sums of a pair."""

from netdistance.distances.relative import SUM_METRICS, SumMetric

__all__ = ["SUM_METRICS", "SumMetric"]
