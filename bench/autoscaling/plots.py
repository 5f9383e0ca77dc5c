"""The pictures of bench/RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from autoscaling.policies import Clairvoyant, Ours
from autoscaling.shapes import SHAPES
from autoscaling.simulator import Policy, World, simulate
from autoscaling.streams import SHAPE_PLACES, stream
from autoscaling.traces import NAMED, trace

ONE_SIZE = ("ours, perfect information", "prompt", "clairvoyant, borrowing")
COLOURS = {"ours": "#0b6e4f", "KEDA": "#c8553d", "CPU 80 %": "#8d99ae", "clairvoyant": "#1d3557"}


def draw(folder: Path, answer: Mapping[str, Any], policies: Mapping[str, Policy]) -> None:
    """Writes autoscaling-traces.png, autoscaling-pareto.png and autoscaling-slow-start.png."""
    _traces(folder / "autoscaling-traces.png", answer["keda_best"], policies)
    _pareto(folder / "autoscaling-pareto.png", answer)
    _slow_start(folder / "autoscaling-slow-start.png", answer)


def draw_shapes(path: Path) -> None:
    """The eight shapes where pods start too slowly for the promise: ours and the clairvoyant."""
    place = SHAPE_PLACES[-1]
    figure, rows = plt.subplots(
        len(SHAPES), 3, figsize=(13, 1.6 * len(SHAPES)), sharex=True, constrained_layout=True
    )
    minutes = np.arange(3600) / 60
    for row, name in zip(rows, SHAPES, strict=True):
        arrivals = stream("shape", name, 0, place)
        row[0].plot(minutes, arrivals.arrivals.sum(axis=1), color="black", lw=0.7)
        row[0].set_ylabel(name, fontsize=8, fontweight="bold")
        for policy in (Clairvoyant(), Ours()):
            run = simulate(arrivals, place.world, policy)
            ours = policy.name == "ours"
            look = {"color": _colour(policy.name), "lw": 1.4 if ours else 0.9}
            row[1].plot(minutes, np.minimum(run.age, 3 * place.world.promise), **look)
            row[2].plot(minutes, run.replicas, drawstyle="steps-post", label=policy.name, **look)
        row[1].axhline(place.world.promise, color="red", lw=0.8, ls=":")
        row[2].set_ylim(0, None)
    titles = ("messages/s", f"seconds behind; promise {place.world.promise:.0f}", "replicas")
    for axis, title in zip(rows[0], titles, strict=True):
        axis.set_title(title)
    for axis in rows[-1]:
        axis.set_xlabel("minutes")
    rows[0][2].legend(fontsize=7, loc="upper right")
    figure.suptitle(place.name)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _colour(policy: str) -> str:
    return COLOURS["KEDA"] if policy.startswith("KEDA") else COLOURS.get(policy, "#e9c46a")


def _traces(path: Path, keda: str, policies: Mapping[str, Policy]) -> None:
    """Arrivals, lag, seconds behind and replicas of each named trace; P = 12, pods start in 8 s."""
    shown = ("CPU 80 %", keda, "clairvoyant", "ours")
    figure, rows = plt.subplots(
        len(NAMED), 4, figsize=(15, 1.75 * len(NAMED)), sharex=True, constrained_layout=True
    )
    minutes = np.arange(3600) / 60
    for row, name in zip(rows, NAMED, strict=True):
        arrivals = trace(name, 12)
        rate = np.convolve(arrivals.arrivals.sum(axis=1), np.ones(15) / 15, "same")
        row[0].plot(minutes, np.minimum(rate, 1500), color="black", lw=0.9)
        row[0].set_ylabel(name.replace("_", " "), fontweight="bold")
        for policy in shown:
            run = simulate(arrivals, World(8.0), type(policies[policy])(*_arguments(policy)))
            look = {"color": _colour(policy), "lw": 1.5 if policy == "ours" else 0.9}
            row[1].plot(minutes, run.lag + 1, label=policy, **look)
            row[2].plot(minutes, np.minimum(run.age, 300), **look)
            row[3].plot(minutes, run.replicas, drawstyle="steps-post", **look)
        for start, end in arrivals.unknown:
            for axis in row:
                axis.axvspan(start / 60, end / 60, color="#ddd", lw=0)
        row[1].set_yscale("log")
        row[2].axhline(30, color="red", lw=0.8, ls=":")
        row[2].set_ylim(0, min(300, max(60, row[2].get_ylim()[1])))
        row[3].set_ylim(0, 12.9)
    titles = ("messages/s (cut at 1,500)", "lag", "seconds behind; promise 30", "replicas")
    for axis, title in zip(rows[0], titles, strict=True):
        axis.set_title(title)
    for axis in rows[-1]:
        axis.set_xlabel("minutes")
    rows[0][1].legend(fontsize=7, loc="upper right")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _arguments(policy: str) -> tuple[int, ...]:
    return (int(policy.split()[1]),) if policy.startswith("KEDA") else ()


def _pareto(path: Path, answer: Mapping[str, Any]) -> None:
    """Replica-hours against seconds over the promise, summed over all traces and partitions."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), constrained_layout=True)
    for axis, (start, sums) in zip(axes, answer["totals_by_start_seconds"].items(), strict=True):
        keda = sorted(
            (f["replica_hours"], f["seconds_over"]) for n, f in sums.items() if n.startswith("KEDA")
        )
        axis.plot(*zip(*keda, strict=True), color=COLOURS["KEDA"], lw=0.8, ls="--")
        for policy, figures in sums.items():
            if policy in ONE_SIZE:
                continue
            hours, over = figures["replica_hours"], figures["seconds_over"]
            axis.scatter(hours, over, color=_colour(policy), s=70 if policy == "ours" else 28)
            axis.annotate(policy, (hours, over), xytext=(5, 3), textcoords="offset points", size=8)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(f"pods start in {start} s")
        axis.set_xlabel("replica-hours")
    axes[0].set_ylabel("seconds over the promise")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _slow_start(path: Path, answer: Mapping[str, Any]) -> None:
    """The price of being ready for the peak when pods start slower than the promise allows."""
    cells = [c for c in answer["cells"] if c[2] == 60.0]
    foresight = [c for c in cells if c[3] == "clairvoyant"]
    base = sum(c[4] for c in foresight)
    hours = sum(c[5] for c in foresight)
    figure, axis = plt.subplots(figsize=(8, 4.6), constrained_layout=True)
    for reserved, colour in ((False, "#8d99ae"), (True, COLOURS["ours"])):
        points = [
            (f["replica_hours"] / hours, f["seconds_over"] - base, f["half_life_seconds"])
            for f in answer["start_60_frontier"]
            if f["reserve"] == reserved
        ]
        label = "with a reserve" if reserved else "without a reserve"
        axis.plot([p[0] for p in points], [p[1] for p in points], "o-", color=colour, label=label)
        for x, y, half_life in points:
            word = "for ever" if half_life > 1e8 else f"{half_life:.0f} s"
            axis.annotate(word, (x, y), xytext=(6, 4), textcoords="offset points", size=8)
    for name in sorted({c[3] for c in cells if c[3].startswith("KEDA")}):
        mine = [c for c in cells if c[3] == name]
        point = (sum(c[5] for c in mine) / hours, sum(c[4] for c in mine) - base)
        axis.scatter(*point, color=COLOURS["KEDA"], s=25)
        axis.annotate(name, point, xytext=(5, 3), textcoords="offset points", size=7)
    axis.axvline(1.15, color="grey", ls=":", lw=0.9)
    axis.set_yscale("log")
    axis.set_xlabel("replica-hours over the clairvoyant's")
    axis.set_ylabel("avoidable seconds over the promise")
    axis.set_title("Pods start in 60 s, promise 30 s: half-life of the remembered peak")
    axis.legend()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_real(path: Path, traces: Mapping[str, Any], promise: float) -> None:
    """Each trace on the local cluster, and what the simulator predicted for it."""
    if not traces:
        return
    figure, rows = plt.subplots(
        len(traces), 4, figsize=(15, 2.6 * len(traces)), squeeze=False, constrained_layout=True
    )
    for row, (name, measured) in zip(rows, traces.items(), strict=True):
        seconds = np.arange(len(measured["arriving"]))
        row[0].plot(seconds, measured["arriving"], color="black", lw=0.9)
        row[0].set_ylabel(name.replace("_", " "), fontweight="bold")
        looks = (
            (measured["predicted"], {"label": "predicted", "color": "#8d99ae", "ls": "--"}),
            (measured, {"label": "measured", "color": COLOURS["ours"]}),
        )
        for figures, look in looks:
            row[1].plot(seconds, figures["lag"], **look)
            row[2].plot(seconds, figures["age"], **look)
            row[3].plot(seconds, figures["replicas"], drawstyle="steps-post", **look)
        row[3].plot(seconds, measured["ready"], drawstyle="steps-post", lw=0.8, color="#e9c46a",
                    label="measured, ready")  # fmt: skip
        row[2].axhline(promise, color="red", lw=0.8, ls=":")
    titles = ("messages/s", "lag", f"seconds behind; promise {promise:.0f}", "replicas")
    for axis, title in zip(rows[0], titles, strict=True):
        axis.set_title(title)
    for axis in rows[-1]:
        axis.set_xlabel("seconds")
    rows[0][3].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
