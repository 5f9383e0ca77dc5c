"""``textmod-dev``: builds, starts, stops and shows the local cluster."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from textmod_dev import supervisor
from textmod_dev.errors import LocalClusterError
from textmod_dev.paths import default_state_dir
from textmod_dev.progress import Progress

KAFKA_PORT = 9092  # if it is free: what the examples say


def main() -> int:
    """Runs one command; every expected failure is one sentence and exit code 1."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(arguments))
    except LocalClusterError as error:
        print(f"textmod-dev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def build(arguments: argparse.Namespace) -> int:
    """Builds or fetches what the cluster runs."""
    from textmod_dev.build import (
        control_plane_binaries,
        helm,
        kafka_jars,
        keda,
        kind_tool,
        schema_registry_folder,
    )

    progress = Progress()
    if arguments.keda:
        _say(f"KEDA: {keda(progress)}")
        return 0
    _say(f"control plane: {control_plane_binaries(progress)}")
    _say(f"kafka: {kafka_jars(progress)}")
    if arguments.all:
        _say(f"schema registry: {schema_registry_folder(progress)}")
        _say(f"Helm 3: {helm(3, progress)}")
        _say(f"Helm 4: {helm(4, progress)}")
        _say(f"kind: {kind_tool('kind', progress)}")
    return 0


def up(arguments: argparse.Namespace) -> int:
    """Starts the cluster in the background."""
    if (found := supervisor.running(arguments.state_dir)) is None:
        from textmod_dev.build import control_plane_binaries, kafka_jars

        progress = Progress()
        control_plane_binaries(progress)  # here, where its progress is seen
        kafka_jars(progress)
        options = [f"--hpa-sync={arguments.hpa_sync}"]
        if arguments.no_seldon:
            options.append("--no-seldon")
        if arguments.no_operator:
            options.append("--no-operator")
        else:
            options.append(f"--artifact={_model(progress, arguments)}")
        progress.step("Starting the cluster")
        found = supervisor.start_in_background(arguments.state_dir, options)
    _say(f"Kafka: {found.bootstrap_servers}")
    _say(f"export KUBECONFIG={found.kubeconfig}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Runs the cluster in the foreground."""
    from textmod_dev.control_plane import AutoscalerTimes
    from textmod_dev.local_cluster import LocalCluster

    progress = Progress()
    with (
        supervisor.stoppable(),
        LocalCluster(
            arguments.state_dir,
            seldon=not arguments.no_seldon,
            kafka_port=KAFKA_PORT,
            times=AutoscalerTimes(sync=arguments.hpa_sync),
            progress=progress,
        ) as cluster,
    ):
        if not arguments.no_operator:
            from textmod_dev.model_image import add_image

            add_image(cluster.images, _model(progress, arguments))
            cluster.install_operator()
            cluster.start_operator()
        supervisor.hold(cluster, attached=arguments.attached)
    return 0


def down(arguments: argparse.Namespace) -> int:
    """Stops the cluster."""
    there_was = supervisor.stop(arguments.state_dir)
    _say("The cluster has stopped." if there_was else "No cluster was running.")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Says whether the cluster runs, and where."""
    found = supervisor.running(arguments.state_dir)
    if found is None:
        _say("No cluster runs.")
        return 1
    _say(f"The cluster runs (process {found.pid}).")
    _say(f"Kafka: {found.bootstrap_servers}")
    _say(f"logs: {arguments.state_dir / 'logs'}")
    _say(f"export KUBECONFIG={found.kubeconfig}")
    return 0


def kubectl(arguments: argparse.Namespace) -> int:
    """Becomes kubectl, talking to the cluster."""
    found = supervisor.running(arguments.state_dir)
    if found is None:
        raise LocalClusterError("No cluster runs: start one with `make up`.")
    from textmod_dev.kubectl import Kubectl

    program = Path(found.binaries) / "kubectl"
    environment = Kubectl(program, Path(found.kubeconfig)).environment()
    os.execve(program, [str(program), *arguments.arguments], environment)  # noqa: S606 - no shell


def chart_readme(_: argparse.Namespace) -> int:
    """Writes the table of the chart's values into its README."""
    from textmod_dev import chart

    readme = chart.folder() / "README.md"
    values = (chart.folder() / "values.yaml").read_text()
    readme.write_text(chart.with_table(readme.read_text(), values))
    return 0


def install_yaml(_: argparse.Namespace) -> int:
    """Prints the chart as one file for people without Helm."""
    from textmod_dev.build import helm
    from textmod_dev.chart import install_yaml as rendered

    sys.stdout.write(rendered(helm(4, Progress())))
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Runs the main job end to end, with a live view."""
    from textmod_dev.demo import run as run_demo

    return run_demo(arguments)


def console(arguments: argparse.Namespace) -> int:
    """Opens a review console on the local cluster, with a stream to review."""
    from textmod_dev.console_visit import run as visit

    if supervisor.running(arguments.state_dir) is None:
        up(arguments)
    found = supervisor.running(arguments.state_dir)
    if found is None:
        raise LocalClusterError("The cluster has ended: see its logs.")
    return visit(arguments, found)


def images(arguments: argparse.Namespace) -> int:
    """Builds the images of the operator, of a model and of the console."""
    from textmod_dev.kind.container_images import (
        base,
        build_console,
        build_model,
        build_operator,
        layers,
    )
    from textmod_dev.kind.engine import Engine

    progress = Progress()
    with Engine(progress) as engine:
        start = base(engine, progress)
        names = [
            build_operator(engine, start, progress, fresh=arguments.fresh),
            build_model(engine, start, progress, model=arguments.model, fresh=arguments.fresh),
            build_console(engine, start, progress, fresh=arguments.fresh),
        ]
        for name in names:
            size = engine.inspect(name)["Size"] / 1e6
            _say(f"{name}: {size:.0f} MB, base {start.image}")
            for layer in layers(engine, name):
                _say(f"  {layer}")
        if arguments.sbom is not None:
            from textmod_dev.kind import bill_of_materials as bill

            for name in names:
                _say(str(bill.of_image(engine, name, arguments.sbom, progress)))
            _say(str(bill.of_chart(arguments.sbom, progress)))
    return 0


def _model(progress: Progress, arguments: argparse.Namespace) -> Path:
    from textmod_dev.model_image import trained_model, training_data

    if arguments.artifact is not None:
        return Path(arguments.artifact).resolve()
    return trained_model(training_data(arguments.data, progress), progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="textmod-dev", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--state-dir",
        type=lambda text: Path(text).resolve(),
        default=default_state_dir(),
        help="certificates, data and logs (default: $TEXTMOD_STATE or .state/)",
    )
    parts = argparse.ArgumentParser(add_help=False)
    parts.add_argument("--no-seldon", action="store_true", help="without the Seldon stand-in")
    parts.add_argument("--no-operator", action="store_true", help="without operator and model")
    parts.add_argument("--hpa-sync", type=int, default=15, help="seconds (default: 15)")
    parts.add_argument("--data", type=Path, help="CSV of comments to train the model on")
    parts.add_argument("--artifact", type=Path, help="folder of a trained model, instead")

    for function, parents in (
        (build, []),
        (up, [where, parts]),
        (run, [where, parts]),
        (down, [where]),
        (status, [where]),
        (kubectl, [where]),
        (chart_readme, []),
        (install_yaml, []),
        (demo, [where]),
        (console, [where, parts]),
        (images, []),
    ):
        text = (function.__doc__ or "").rstrip(".")
        name = function.__name__.replace("_", "-")
        command = commands.add_parser(name, help=text, parents=parents)
        command.set_defaults(run=function)
        if function is kubectl:
            command.add_argument("arguments", nargs=argparse.REMAINDER)
        if function is build:
            command.add_argument(
                "--all", action="store_true", help="and what the tests use beside it"
            )
            command.add_argument(
                "--keda", action="store_true", help="only KEDA, for its integration test"
            )
        if function is run:
            command.add_argument(
                "--attached", action="store_true", help="stop when standard input ends"
            )
        if function is demo:
            _add_demo_options(command)
        if function is console:
            command.add_argument("--alone", action="store_true", help="no simulated reviewer")
            command.add_argument("--seconds", type=float, help="end after so long")
        if function is images:
            _add_image_options(command)
    return parser


def _add_demo_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--keep", action="store_true", help="leave the cluster up")
    command.add_argument("--data", type=Path, help="CSV of comments to train on and to send")
    command.add_argument("--timeout", type=float, default=420, help="seconds for the whole stream")


def _add_image_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        default="sample",
        help="a CSV to train on, the folder of an artifact, or sample (default: sample)",
    )
    command.add_argument("--fresh", action="store_true", help="rebuild every layer")
    command.add_argument("--sbom", type=Path, help="folder for bills of materials, by syft")


def _say(text: str) -> None:
    print(text)


if __name__ == "__main__":
    sys.exit(main())
