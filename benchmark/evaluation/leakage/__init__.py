"""Detect leaks in a task's questions: does what models learn from know what happened later?"""

from benchmark.evaluation.leakage.rules import Leak, check
from benchmark.evaluation.leakage.suspect import suspect

__all__ = ["Leak", "check", "suspect"]
