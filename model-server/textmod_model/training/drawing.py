"""What the reports share: figures as SVG inside one HTML file, nothing loaded from elsewhere."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jinja2
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

KEPT, REMOVED, ACCENT, QUIET = "#2f86c5", "#d95763", "#3f9150", "#8d96a0"
INK: Final = "#1c2024"
"""Of texts and lines: in the page their colour is the page's own, dark or light."""
PAPER: Final = "#fffffe"
"""Behind texts: in the page the colour that the figure stands on."""
STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "textmoderation",  # repeatable identifiers
    # Two dollar signs in a label or a word are no formula, which would break off the report.
    "text.parse_math": False,
    "svg.fonttype": "none",  # text stays text: smaller, searchable
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
}


def on_blues(part: float) -> str:
    """Return the colour of a text on the colour map Blues at `part`, from 0 to 1: one that has a
    contrast of 4.5 to it (WCAG 1.4.3), whatever the page's colours are."""
    return "white" if part > 0.71 else "black"


@dataclass(frozen=True)
class Plot:
    """One figure of a report."""

    title: str
    explanation: str
    svg: Markup
    wide: bool = False


def plot(
    title: str,
    explanation: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = (4.5, 3.2),
) -> Plot:
    """Draw a figure of one pair of axes; `size` in inches."""
    figure = Figure(figsize=size)
    draw(figure.subplots())
    return Plot(title, explanation, svg(figure), wide=size[0] > 6)


def svg(figure: Figure) -> Markup:
    """Return a figure as an SVG element."""
    buffer = io.StringIO()
    with warnings.catch_warnings():  # the reader's browser has fonts of its own
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor").replace(PAPER, "var(--card)")
    return Markup(text)  # noqa: S704  # made by matplotlib, which escapes the text it is given


def template(name: str) -> jinja2.Template:
    """Return a report's template."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("textmod_model.training"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)
