"""Precision and recall from decisions and selection probabilities. Pure: no I/O, no clock.

Every item that was chosen for review carries the probability p of having been chosen, so that a
label stands for 1/p texts. Sums over the labels (`sums`) give the estimates (`estimates`) with
their intervals (`intervals`); with too few labels a figure is unknown, in words (`minimum`).
`bench/quality` shows in worlds with a known truth that this holds.
"""

from textmod_console.measurement.estimates import Total
from textmod_console.measurement.evidence import WIDTH, Bin, Evidence, centre, evidence
from textmod_console.measurement.opinions import Opinion, agreement, label_of
from textmod_console.measurement.values import Estimate, Quality
from textmod_console.measurement.window import (
    MEMORY,
    WINDOW,
    AllTexts,
    Asked,
    Chosen,
    Group,
    labelled,
    quality,
    window,
)

__all__ = [
    "MEMORY",
    "WIDTH",
    "WINDOW",
    "AllTexts",
    "Asked",
    "Bin",
    "Chosen",
    "Estimate",
    "Evidence",
    "Group",
    "Opinion",
    "Quality",
    "Total",
    "agreement",
    "centre",
    "evidence",
    "label_of",
    "labelled",
    "quality",
    "window",
]
