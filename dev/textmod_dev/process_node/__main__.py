"""``python -m textmod_dev.process_node``: started by the local cluster."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

from textmod_dev.guardian import MARKER
from textmod_dev.images import ImageTable
from textmod_dev.kube_client import KubeClient
from textmod_dev.process_node import kubelet_api
from textmod_dev.process_node.cpu import CpuLimits, Meter
from textmod_dev.process_node.environment import HOST_IP
from textmod_dev.process_node.metrics_api import MetricsApi
from textmod_dev.process_node.node import Pods, keep_alive, node_object, register, run_pods
from textmod_dev.process_node.runtime import Runtime

log = logging.getLogger("textmod_dev.process_node")


def main() -> None:
    """Runs until SIGTERM or SIGINT, then ends every container."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    asyncio.run(run(parse_arguments()))


def parse_arguments() -> argparse.Namespace:
    """The command line, without which nothing about a cluster is known here."""
    parser = argparse.ArgumentParser(prog="textmod_dev.process_node", description=__doc__)
    for name, text in (
        ("--kubeconfig", "of a user in group system:nodes"),
        ("--images", "the image table"),
        ("--pods-dir", "folders of pods, removed with them"),
        ("--logs-dir", "logs of containers, kept"),
        ("--certificate", "serving certificate of both endpoints"),
        ("--key", "its key"),
        ("--client-ca", "signs the API server's client certificate"),
        ("--front-proxy-ca", "signs the aggregator's client certificate"),
    ):
        parser.add_argument(name, type=Path, required=True, help=text)
    parser.add_argument("--node", action="append", required=True, help="a Node's name; repeatable")
    parser.add_argument("--kubelet-port", type=int, required=True)
    parser.add_argument("--metrics-port", type=int, required=True)
    parser.add_argument("--version", default="v0.0.0", help="the kubelet version to show")
    parser.add_argument("--cpus", type=int, default=64)
    parser.add_argument("--memory", default="256Gi")
    parser.add_argument("--pods", type=int, default=250)
    parser.add_argument("--restart-backoff", type=float, default=10, help="seconds")
    return parser.parse_args()


async def run(arguments: argparse.Namespace) -> None:
    """Everything at once; the first thing that fails for good ends it all."""
    pods: Pods = {}
    meter = Meter()
    limits = CpuLimits(os.environ.get(MARKER, str(os.getpid())))
    connector = aiohttp.TCPConnector(limit=0, force_close=True)  # a probe is a new connection
    async with (
        KubeClient(arguments.kubeconfig) as client,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        runtime = Runtime(
            client=client,
            http=http,
            images=ImageTable(arguments.images),
            limits=limits,
            pods_dir=arguments.pods_dir,
            logs_dir=arguments.logs_dir,
            base_environment=base_environment(),
            restart_backoff=arguments.restart_backoff,
        )
        certificate = (arguments.certificate, arguments.key)
        await _serve(
            kubelet_api.application(pods),
            arguments.kubelet_port,
            _tls(*certificate, arguments.client_ca),
        )
        await _serve(
            MetricsApi(pods, arguments.node, meter).application(),
            arguments.metrics_port,
            _tls(*certificate, arguments.front_proxy_ca),
        )
        nodes = [
            node_object(
                name,
                cpus=arguments.cpus,
                memory=arguments.memory,
                pods=arguments.pods,
                kubelet_port=arguments.kubelet_port,
                version=arguments.version,
            )
            for name in arguments.node
        ]
        for node in nodes:
            await register(client, node)
        work = asyncio.gather(
            meter.run(),
            run_pods(client, runtime, set(arguments.node), pods),
            *(keep_alive(client, node) for node in nodes),
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            log.info("stopped")


def base_environment() -> dict[str, str]:
    """What a container's process gets from this machine: enough to run programs, no more."""
    kept = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", MARKER)
    return {name: os.environ[name] for name in kept if name in os.environ}


async def _serve(application: web.Application, port: int, tls: ssl.SSLContext) -> None:
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST_IP, port, ssl_context=tls, shutdown_timeout=1).start()


def _tls(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """A server that answers only clients whose certificate the authority signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    main()
