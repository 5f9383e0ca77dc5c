"""Signing in to the console's pages with real tokens, judged by the real API server's RBAC."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from console_client import Clock, form_token, settings
from live import Kubectl, WaitFor
from memory_desk import MemoryDesk, card
from starlette.testclient import TestClient

from textmod_console.access import kubernetes
from textmod_console.access.permissions import RbacPermissions
from textmod_console.access.sign_in import ByToken
from textmod_console.pages.app import Entry, create_app
from textmod_dev import chart
from textmod_dev.local_cluster import LocalCluster

pytestmark = pytest.mark.integration

AFTER_A_REVIEW = 121
PAGES = ("/queue", "/escalated", "/quality", "/policies", "/audit")
ALLOWED = {
    "reviewer": {"/queue"},
    "lead": {"/queue", "/escalated", "/quality", "/policies"},
    "auditor": {"/quality", "/policies", "/audit"},
    "nobody": set(),
}


@pytest.fixture
def account(kubectl: Kubectl) -> Callable[[str], str]:
    """``account(role)`` makes a ServiceAccount with the chart's role here; returns its token."""

    def make(role: str) -> str:
        kubectl("create", "serviceaccount", role)
        namespace = kubectl("get", "serviceaccount", role, "-o=jsonpath={.metadata.namespace}")
        if role != "nobody":
            made = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": role},
                "rules": chart.rules(f"user-{role}-rules.yaml"),
            }
            kubectl("apply", "-f", "-", stdin=json.dumps(made))
            kubectl(
                "create", "rolebinding", role, f"--role={role}",
                f"--serviceaccount={namespace}:{role}",
            )  # fmt: skip
        return kubectl("create", "token", role).strip()

    return make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def console(
    cluster: LocalCluster, namespace: str, kubectl: Kubectl, clock: Clock
) -> Iterator[Callable[[], TestClient]]:
    """Browsers of one console whose own account has the chart's rules for consoles and no more."""
    name = f"console-{namespace}"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": chart.rules("console-rules.yaml"),
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(role))
    kubectl("create", "serviceaccount", "console")
    kubectl(
        "create", "clusterrolebinding", name, f"--clusterrole={name}",
        f"--serviceaccount={namespace}:console",
    )  # fmt: skip
    own = kubectl("create", "token", "console").strip()
    server = kubernetes.connect(cluster.control_plane.write_token_kubeconfig(name, own))
    permissions = RbacPermissions(server, namespace, "science", clock)
    enter = Entry(ByToken(server, clock), permissions)
    app = create_app(MemoryDesk.of(card(1)), settings(), enter=enter, now=clock)
    yield lambda: TestClient(app, base_url="http://console.example", follow_redirects=False)
    server.close()
    kubectl("delete", "clusterrolebinding,clusterrole", name)


def sign_in(client: TestClient, token: str) -> int:
    form = {"token_of_form": form_token(client.get("/sign-in").text), "token": token}
    return int(client.post("/sign-in", data=form).status_code)


def test_real_tokens_open_what_the_charts_roles_allow(
    console: Callable[[], TestClient],
    account: Callable[[str], str],
    kubectl: Kubectl,
    clock: Clock,
    wait_for: WaitFor,
) -> None:
    for role, allowed in ALLOWED.items():
        client = console()
        assert sign_in(client, account(role)) == 303
        statuses = {page: client.get(page).status_code for page in PAGES}
        assert statuses == {page: 200 if page in allowed else 403 for page in PAGES}, role
    assert sign_in(console(), "made.up.token") == 401
    client = console()
    assert sign_in(client, kubectl("create", "token", "lead").strip()) == 303
    assert client.get("/quality").status_code == 200
    kubectl("delete", "serviceaccount", "lead")

    def signed_out() -> bool:
        clock.at += AFTER_A_REVIEW
        return client.get("/quality").status_code == 303

    wait_for(signed_out, 60, "the token is void")  # the API server itself remembers it for 10 s


def test_an_account_that_may_ask_nothing_lets_nobody_in(
    cluster: LocalCluster, account: Callable[[str], str], namespace: str
) -> None:
    own = cluster.control_plane.write_token_kubeconfig(f"void-{namespace}", account("nobody"))
    server = kubernetes.connect(own)
    try:
        with pytest.raises(kubernetes.ApiServerError, match="textmoderation-console"):
            server.token_review("a.b.c")
    finally:
        server.close()
