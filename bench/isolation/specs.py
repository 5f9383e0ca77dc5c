"""Does every spec that the API server admits get its conditions? A thousand generated ones.

    python bench/isolation/specs.py [--specs 1000] [--seed 13]

On a real control plane and broker, with the node cordoned: what is looked at is the operator's
answer, and a thousand real pods are more than a machine has. Written to isolation.json below
.state/ (with RECORD=1: in bench/results); other keys stay.

    specs                       admitted by the API server; what it refuses of a generated one is
                                taken out, until it admits the rest
    specs_admitted_at_once      of them as they were generated
    specs_refused_by_the_api_server  of which it admitted nothing
    specs_accepted              answers with Accepted True: the operator acted on the spec
    specs_fields_tried          fields of the CRD's spec that an admitted spec had, of specs_fields
    specs_without_conditions    of them without conditions of their generation after a minute
    specs_tracebacks            tracebacks in the operator's log, and objects with InternalError
    specs_slowest_seconds       from the apply to the conditions
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from textmod_dev.figures import figures_dir, merge_figures
from textmod_dev.generated_specs import SpecGenerator
from textmod_dev.local_cluster import LocalCluster
from textmod_dev.paths import repository_root
from textmod_dev.progress import Progress
from textmod_dev.spec_trial import Trial, try_specs

RESULTS = figures_dir(Path(__file__).parents[1] / "results") / "isolation.json"
TRACEBACK = "Traceback (most recent call last)"


def main() -> int:
    """Run it; 0 when every figure is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--specs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trial, tracebacks = run(Path(folder), args.specs, args.seed)
    fields = SpecGenerator(0, "").field_paths()
    found = figures(trial, tracebacks, fields)
    merge_figures(RESULTS, found)
    more = {
        "reasons": trial.reasons,
        "refusals": dict(sorted(trial.refusals.items(), key=lambda one: -one[1])[:40]),
        "not accepted": trial.invalid,
        "never tried": sorted(fields - trial.fields),
    }
    sys.stdout.write(json.dumps({**found, **more}, indent=2))
    for body in trial.unanswered[:5]:
        sys.stdout.write(f"\nunanswered: {json.dumps(body)}")
    for error in trial.internal_errors[:5]:
        sys.stdout.write(f"\n{error}")
    sys.stdout.write("\n")
    well = not found["specs_without_conditions"] and not found["specs_tracebacks"]
    return 0 if well and found["specs_slowest_seconds"] <= 10 else 1


def run(folder: Path, specs: int, seed: int) -> tuple[Trial, int]:
    """The trial on a cluster of its own, and the tracebacks in the operator's log."""
    with LocalCluster(folder / "cluster", progress=Progress()) as cluster:
        cluster.install_operator()
        operator = cluster.start_operator("--lease-namespace=kube-system")
        cluster.kubectl("cordon", "local")
        generator = SpecGenerator(seed, cluster.bootstrap_servers)
        trial = asyncio.run(try_specs(cluster.kubeconfig, generator, specs, "default", "spec"))
        log = operator.log.read_text(errors="replace")
        kept = repository_root() / ".state" / "bench" / "isolation-operator.log"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(log)
    return trial, log.count(TRACEBACK)


def figures(trial: Trial, tracebacks: int, fields: frozenset[str]) -> dict[str, Any]:
    """The keys of bench/results/isolation.json that are this file's."""
    return {
        "specs": trial.specs,
        "specs_admitted_at_once": trial.at_once,
        "specs_refused_by_the_api_server": trial.refused,
        "specs_accepted": trial.accepted,
        "specs_fields": len(fields),
        "specs_fields_tried": len(fields & trial.fields),
        "specs_without_conditions": len(trial.unanswered),
        "specs_tracebacks": tracebacks + len(trial.internal_errors),
        "specs_slowest_seconds": round(max(trial.seconds, default=0.0), 1),
    }


if __name__ == "__main__":
    sys.exit(main())
