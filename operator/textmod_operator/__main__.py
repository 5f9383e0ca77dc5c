"""textmod-operator: the command line.

run     watch TextModerations and reconcile them
doctor  say whether the installation works
crd     print the CustomResourceDefinition
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import socket
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from textmod_operator import log_lines
from textmod_operator.settings import ConsoleSettings, Settings, every_address

CONFIGURATION_ERROR: Final = 78
"""EX_CONFIG of sysexits.h."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; its exit code."""
    args = _parser().parse_args(arguments)
    try:
        code: int = args.run(args)
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="textmod-operator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="watch TextModerations and reconcile them")
    run.set_defaults(run=_run)
    _flag(run, "kubeconfig", None, "kubeconfig file (default: the pod's service account)")
    _flag(run, "namespaces", "", "namespaces to watch, comma-separated (default: all)")
    _flag(run, "metrics-port", 6443, "HTTPS port of external.metrics.k8s.io; 0: none")
    _flag(run, "metrics-address", every_address(), "address that the servers listen on")
    _flag(run, "certificate-dir", None, "folder with tls.crt and tls.key of the metrics API")
    _flag(
        run,
        "metrics-service",
        None,
        "NAMESPACE/NAME of the metrics API's Service, to make and renew its certificate here",
    )
    _flag(run, "health-port", 8080, "HTTP port of /healthz, /readyz and /metrics; 0: none")
    _flag(run, "workers", Settings.workers, "reconciles at the same time")
    _flag(run, "lag-interval", Settings.lag_interval, "seconds between two reads of the lag")
    _flag(
        run, "keda-url", None, "this operator's Service for KEDA, as http://NAME.NAMESPACE.svc:8080"
    )
    _flag(run, "strimzi", "off", "on: make KafkaTopics for topics.management Strimzi")
    _flag(run, "strimzi-namespaces", "", "where to make them (default: as --namespaces)")
    _flag(run, "lease-namespace", None, "namespace of the leader's Lease (default: no election)")
    _flag(run, "console-image", ConsoleSettings.image, "image of consoles whose object names none")
    _flag(run, "console-metrics-from", "[]", "NetworkPolicy peers that scrape consoles, as JSON")
    _flag(run, "console-network-policy", "on", "off: make no NetworkPolicy for consoles")
    _flag(
        run, "console-webhook-networks", "", "private networks of webhooks, as 10.0.0.0/8,fd00::/8"
    )
    _flag(run, "log-level", "INFO", "DEBUG, INFO, WARNING or ERROR")

    crd = commands.add_parser("crd", help="print the CustomResourceDefinition")
    crd.set_defaults(run=_crd)
    crd.add_argument(
        "--format",
        choices=("yaml", "markdown"),
        default="yaml",
        help="yaml to apply, or the reference of its fields (default: yaml)",
    )

    check = commands.add_parser(
        "check",
        help="say what would be made of a TextModeration file",
        description="Exit code 0: fine; 1: differs from the cluster; 2: refused. With --artifact: "
        "what becomes of its policies with that model, which needs no cluster.",
    )
    check.set_defaults(run=_check)
    check.add_argument("file", type=Path, help="YAML file with TextModerations")
    check.add_argument("--diff", action="store_true", help="compare with the cluster")
    check.add_argument(
        "--artifact",
        type=Path,
        help="a model's folder or manifest.json: print the thresholds of the policies instead",
    )
    check.add_argument(
        "--rate", help="texts that arrive, as 12/s, 700/min, 5000/h or 100000/d; for --artifact"
    )
    check.add_argument(
        "--solved",
        type=Path,
        help="write the policies as the pods get them to this file; for --artifact",
    )
    _flag(check, "kubeconfig", None, "kubeconfig file, for --diff (default: kubectl's)")
    _flag(check, "keda-url", None, "the operator's --keda-url, for metricsProvider Keda")
    _flag(check, "console-image", ConsoleSettings.image, "the operator's --console-image")

    doctor = commands.add_parser(
        "doctor",
        help="say whether the installation works",
        description="Exit code 0: it does; 1: it does not, and the output says what to do.",
    )
    doctor.set_defaults(run=_doctor)
    _flag(doctor, "kubeconfig", None, "kubeconfig file (default: the pod's service account)")
    _flag(doctor, "lease-namespace", None, "namespace of the leader's Lease (default: no election)")
    doctor.add_argument(
        "--without-metrics-api",
        action="store_true",
        help="external.metrics.k8s.io is not the operator's here",
    )
    return parser


def _flag(parser: argparse.ArgumentParser, name: str, default: Any, text: str) -> None:  # noqa: ANN401
    """A flag whose default can be set by TEXTMOD_OPERATOR_<NAME> in the environment."""
    variable = f"TEXTMOD_OPERATOR_{name.upper().replace('-', '_')}"
    kind = str if default is None else type(default)
    parser.add_argument(
        f"--{name}",
        type=kind,
        default=kind(os.environ[variable]) if variable in os.environ else default,
        help=f"{text} [{variable}]",
    )


def _crd(args: argparse.Namespace) -> int:
    if args.format == "markdown":
        from textmod_operator.reference import markdown

        sys.stdout.write(markdown())
        return 0
    import yaml

    from textmod_operator.crd import custom_resource_definition

    sys.stdout.write("# Generated by `textmod-operator crd`; the source is api/v1alpha1.py.\n")
    yaml.safe_dump(custom_resource_definition(), sys.stdout, sort_keys=False, width=100)
    return 0


def _check(args: argparse.Namespace) -> int:
    import yaml

    from textmod_operator import check
    from textmod_operator.errors import ClusterError, Problem
    from textmod_operator.kube.cluster import Cluster, connect, kubeconfig_of_kubectl
    from textmod_operator.state import Capabilities

    different = False
    try:
        moderations = check.read(args.file)
        if args.artifact is not None:
            return _check_policies(args, moderations)
        if args.rate or args.solved:
            return _refuse("--rate and --solved need --artifact", check.REFUSED)
        if not args.diff:
            newest = Capabilities(
                hpa_tolerance=True,
                keda_url=args.keda_url or None,
                console=ConsoleSettings(args.console_image),
            )
            for moderation in moderations:
                sys.stdout.write(check.rendered(check.wanted(moderation, newest)))
            return check.FINE
        client = connect(args.kubeconfig or kubeconfig_of_kubectl())
        cluster = Cluster(client, "textmod-operator-check")
        capabilities = replace(
            cluster.capabilities(),
            keda_url=args.keda_url or None,
            console=ConsoleSettings(args.console_image),
        )
        for moderation in moderations:
            for line in check.differences(
                check.wanted_in(moderation, capabilities, cluster), cluster
            ):
                different = True
                sys.stdout.write(line + "\n")
    except Problem as problem:
        return _refuse(problem.message, check.REFUSED)
    except (OSError, yaml.YAMLError, ClusterError) as error:
        return _refuse(check.sentence(error), check.REFUSED)
    return check.DIFFERENT if different else check.FINE


def _check_policies(args: argparse.Namespace, moderations: list[Any]) -> int:
    from textmod_operator import check, check_policies

    with_policies = [moderation for moderation in moderations if moderation.spec.policies]
    if not with_policies:
        return _refuse(f"{args.file} holds no policies", check.REFUSED)
    if args.solved and len(with_policies) > 1:
        return _refuse(
            f"--solved takes one object with policies, and {args.file} holds {len(with_policies)}",
            check.REFUSED,
        )
    try:
        rate = check_policies.rate_per_second(args.rate) if args.rate else None
    except ValueError as error:
        return _refuse(f"--rate {error}", check.REFUSED)
    model = check_policies.read_model(args.artifact)
    for moderation in with_policies:
        solution = check_policies.solution(moderation, model, rate)
        lines = check_policies.table(moderation, solution, rate)
        sys.stdout.write("\n".join(lines) + "\n")
        if args.solved:
            args.solved.write_text(solution.written())
    return check.FINE


def _doctor(args: argparse.Namespace) -> int:
    from textmod_operator.doctor import examine
    from textmod_operator.kube.cluster import Cluster, connect

    try:
        client = connect(args.kubeconfig)
    except OSError as error:
        return _refuse(str(error), 1)
    cluster = Cluster(client, "textmod-operator-doctor")
    well = True
    for finding in examine(cluster, args.lease_namespace, metrics_api=not args.without_metrics_api):
        well = well and finding.problem is None
        sys.stdout.write(f"{finding}\n")
    return 0 if well else 1


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        namespaces=_names(args.namespaces),
        metrics_port=args.metrics_port,
        metrics_address=args.metrics_address,
        certificate_folder=Path(args.certificate_dir) if args.certificate_dir else None,
        metrics_service=_split(args.metrics_service),
        health_port=args.health_port,
        workers=args.workers,
        lag_interval=args.lag_interval,
        keda_url=args.keda_url or None,
        strimzi_namespaces=_names(args.strimzi_namespaces or args.namespaces)
        if args.strimzi == "on"
        else None,
        lease_namespace=args.lease_namespace or None,
        console=ConsoleSettings(
            image=args.console_image,
            operator_namespace=args.lease_namespace or None,
            metrics_from=_peers(args.console_metrics_from),
            network_policy=args.console_network_policy != "off",
            webhook_networks=_names(args.console_webhook_networks),
        ),
        # A container that is restarted has the same name and process id.
        identity=f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _peers(text: str) -> tuple[dict[str, Any], ...]:
    """NetworkPolicy peers from JSON.

    Raises:
        ValueError: it is something else.
    """
    try:
        peers = json.loads(text)
    except ValueError:
        peers = None
    if not isinstance(peers, list) or not all(isinstance(peer, dict) for peer in peers):
        raise ValueError(
            "--console-metrics-from must be a JSON list of NetworkPolicy peers, such as "
            '[{"namespaceSelector": {}}]'
        )
    return tuple(peers)


def _run(args: argparse.Namespace) -> int:
    import kopf

    from textmod_operator.controller.controller import Controller
    from textmod_operator.controller.triggers import handlers
    from textmod_operator.kube.cluster import Cluster, connect

    log_lines.configure(args.log_level)
    # These tell of every object, watch and connection; what matters is said here.
    for library in ("kopf", "kafka"):
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        settings = _settings(args)
    except ValueError as error:
        return _refuse(str(error))
    sources = (settings.certificate_folder, settings.metrics_service)
    if settings.metrics_port and sum(source is not None for source in sources) != 1:
        return _refuse(
            "the metrics API needs a certificate: give --metrics-service to have it made here, or "
            "--certificate-dir with tls.crt and tls.key; --metrics-port=0 leaves the API out"
        )
    if args.kubeconfig:
        os.environ["KUBECONFIG"] = args.kubeconfig  # kopf's own login reads it
    try:
        client = connect(args.kubeconfig)
    except OSError as error:
        return _refuse(str(error))
    cluster = Cluster(client, settings.identity, settings.strimzi_namespaces)
    controller = Controller(cluster, settings)

    async def background() -> None:
        await _serve(controller, cluster, settings)
        exempt_from_collection()
        _elect(controller, cluster, settings)

    kopf.run(
        registry=handlers(controller, background),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
    )
    return 0


def _split(service: str | None) -> tuple[str, str] | None:
    """NAMESPACE/NAME as a pair.

    Raises:
        ValueError: it is something else.
    """
    if not service:
        return None
    namespace, slash, name = service.partition("/")
    if not (namespace and slash and name):
        raise ValueError(f"--metrics-service is {service}: give it as NAMESPACE/NAME")
    return namespace, name


def exempt_from_collection() -> None:
    """Exempt all objects that exist now (modules, classes, schemas) from garbage collection.

    A full collection looks at every one of these 100,000 and holds all threads meanwhile, the event
    loop and with it /healthz for 50 ms of CPU. None of them ever becomes garbage.
    """
    gc.collect()
    gc.freeze()


async def _serve(controller: Any, cluster: Any, settings: Settings) -> None:  # noqa: ANN401
    """Starts the metrics API and the health server on the running loop."""
    from textmod_operator.serving.certificates import FolderCertificate, OwnCertificate
    from textmod_operator.serving.metrics_api import (
        TrustedProxy,
        follow_certificate,
        follow_front_proxy,
        health_app,
        metrics_app,
        serve,
    )

    if settings.health_port:
        health = health_app(
            lambda: controller.alive, lambda: controller.started, controller.scaling
        )
        await serve(health, settings.metrics_address, settings.health_port)
    if settings.metrics_port:
        trusted = TrustedProxy(await asyncio.to_thread(cluster.front_proxy))
        follow_front_proxy(trusted, cluster.follow_front_proxy)
        source = (
            OwnCertificate(cluster, *settings.metrics_service)
            if settings.metrics_service
            else FolderCertificate(settings.certificate_folder or Path())
        )
        await follow_certificate(trusted.context, source, settings.certificate_interval)
        app = metrics_app(controller.scaling, trusted)
        await serve(app, settings.metrics_address, settings.metrics_port, trusted.context)


def _elect(controller: Any, cluster: Any, settings: Settings) -> None:  # noqa: ANN401
    """Leads at once, or, with a Lease, once it is ours; a lost Lease ends the process."""
    loop = asyncio.get_running_loop()
    if settings.lease_namespace is None:
        controller.lead()
        return

    logging.getLogger(__name__).info("standing by for the Lease in %s", settings.lease_namespace)

    def campaign() -> None:
        try:
            cluster.lead(
                settings.lease_namespace,
                started=lambda: loop.call_soon_threadsafe(controller.lead),
            )
        finally:
            if not cluster.resigned:
                # A successor may act already: nothing of this process may follow.
                logging.getLogger(__name__).error("lost the Lease; exiting so that only one acts")
                os._exit(1)

    threading.Thread(target=campaign, name="lease", daemon=True).start()


def _refuse(sentence: str, code: int = CONFIGURATION_ERROR) -> int:
    sys.stderr.write(f"textmod-operator: {sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
