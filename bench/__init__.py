"""Measurements: each prints ratios against what else does the same job, in the same run."""
