"""Names of features as a person would say them, and intervals."""

import matplotlib as mpl
import numpy as np
import pytest

from textmod_model import pipeline
from textmod_model.artifact import Artifact
from textmod_model.text import features
from textmod_model.training import drawing, plots, wording


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("log of ends ?", "question marks at the end"),
        ("ends ? / root of length", "share of question marks at the end"),
        ("log of length", "length"),
        ("log of length, squared", "length, squared"),
        ("over 150 chunks", "more than 150 words"),
        ("at most 5 chunks", "at most 5 words"),
        ("this thread", "“this thread”"),
        ("URL", "an address"),
        ("URL END", "an address last"),
        ("START why", "“why” first"),
        ("START why END", "nothing but “why”"),
        ("START END", "an empty text"),
        ("see URL", "“see [address]”"),
        ("… the…", "letters “␣the”"),
        ("$5", "“$5”"),
        ("a\x01b", r"“a\x01b”"),
        ("x" * 300, "“" + "x" * 39 + "…"),
    ],
)
def test_names_of_features(name: str, said: str) -> None:
    assert wording.said(name) == said


def test_every_feature_has_a_name_without_the_models_dialect(default_artifact: Artifact) -> None:
    names, _ = pipeline.coefficients(default_artifact.pipeline())
    shape = [wording.said(name) for name in names if name in features.SHAPE]
    assert len(set(shape)) == len(features.SHAPE)
    for name in shape:
        assert "chunk" not in name
        assert "log" not in name
        assert "root" not in name
    assert set(wording.MARKS_SAID) == {*features.MARKS, "length"}


def test_an_interval_holds_what_it_should() -> None:
    low, high = plots.wilson(np.array([0.0, 0.5, 1.0]), np.array([10, 10, 10]))
    assert low == pytest.approx([0, 0.2366, 0.7225], abs=1e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)


def luminance(colour) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    parts = np.array(mpl.colors.to_rgb(colour))
    parts = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(parts @ [0.2126, 0.7152, 0.0722])


def test_figures_on_the_cells_of_a_matrix_are_readable() -> None:
    for part in np.linspace(0, 1, 101):
        cell, text = mpl.colormaps["Blues"](part), drawing.on_blues(part)
        dark, light = sorted((luminance(cell), luminance(text)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, part
