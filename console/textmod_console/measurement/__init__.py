"""Precision and recall from decisions and selection probabilities. Pure: no I/O, no clock."""

from textmod_console.measurement.values import Estimate, Quality

__all__ = ["Estimate", "Quality"]
