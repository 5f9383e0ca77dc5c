"""A small HTTPS server that plays one part, run as a process by tests on a real API server.

python https_stand_in.py PART PORT CERTIFICATE KEY

foreign-metrics: an external.metrics.k8s.io adapter that offers what KEDA's does, and no figure.
too-many-requests: an admission webhook that answers 429 to everything.
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
from typing import Any

EXTERNAL = "external.metrics.k8s.io/v1beta1"


def foreign_metrics(path: str, _: bytes) -> tuple[int, dict[str, Any]]:
    if not path.endswith(f"/{EXTERNAL}"):
        return 404, {}
    metric = {
        "name": "externalmetrics",
        "singularName": "",
        "namespaced": True,
        "kind": "ExternalMetricValueList",
        "verbs": ["get"],
    }
    listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": EXTERNAL}
    return 200, {**listed, "resources": [metric]}


def too_many_requests(_: str, body: bytes) -> tuple[int, dict[str, Any]]:
    refused = {"code": 429, "reason": "TooManyRequests", "message": "come back later"}
    uid = json.loads(body)["request"]["uid"]
    response = {"uid": uid, "allowed": False, "status": refused}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    return 200, {**review, "response": response}


PARTS = {"foreign-metrics": foreign_metrics, "too-many-requests": too_many_requests}


def serve(part: str, port: int, certificate: str, key: str) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            code, answer = PARTS[part](self.path.partition("?")[0], self.rfile.read(length))
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class's own names

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    part, port, certificate, key = sys.argv[1:]
    serve(part, int(port), certificate, key)
