"""The sockets that the servers listen on."""

import asyncio
import socket

import pytest

from textmod_model.errors import ConfigurationError
from textmod_model.serving.servers import _uvicorn, listen


def test_connections_of_a_listening_socket_do_not_wait_for_acknowledgements():
    with (
        listen("127.0.0.1", 0) as server,
        socket.create_connection(server.getsockname()),
    ):
        connection, _ = server.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_asyncio_takes_the_listening_socket_for_tcp():
    """asyncio sets TCP_NODELAY itself, but only on a socket whose protocol is IPPROTO_TCP."""
    found = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            sock = transport.get_extra_info("socket")
            found.append((sock.proto, sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            transport.close()

    async def serve():
        sock = listen("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(Protocol, sock=sock)
        async with server:
            reader, writer = await asyncio.open_connection(*sock.getsockname())
            await reader.read()
            writer.close()
            await writer.wait_closed()

    asyncio.run(serve())
    [(proto, nodelay)] = found
    assert proto == socket.IPPROTO_TCP
    assert nodelay


def test_a_port_that_is_taken_is_one_sentence():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} on 127.0.0.1"):
            listen("127.0.0.1", port)


def test_a_call_for_a_web_socket_does_not_have_the_log_advise_a_library():
    async def app(_scope, _receive, _send):
        """Answer nothing."""

    configuration = _uvicorn(app).config
    configuration.load()
    assert configuration.ws_protocol_class is None
    assert configuration.ws == "none"


ANSWER_AFTER = 0.2
"""Seconds, so that the end of the client's side is read long before the answer is written."""


def exchange(sent, *, half_close=True):
    """Send to a server that answers with the path and the body; return all that comes back."""

    async def app(scope, receive, send):
        path = scope["path"].encode()
        message = {"body": b"", "more_body": True}
        body = b""
        while message["more_body"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
        await asyncio.sleep(ANSWER_AFTER)
        content = path + b"=" + body + b";"
        length = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": content})

    async def serve():
        sock = listen("127.0.0.1", 0)
        server = _uvicorn(app)
        serving = asyncio.ensure_future(server.serve(sockets=[sock]))
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(sent)
        if half_close:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 4)
        finally:
            writer.close()
            server.should_exit = True
            await serving

    return asyncio.run(serve())


def post(path, body):
    return b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


def test_a_client_that_ends_its_side_after_the_request_is_answered():
    """As `nc -N` and scripts with shutdown(SHUT_WR) do; the connection ends after the answer."""
    assert exchange(post(b"/a", b"x")).endswith(b"\r\n\r\n/a=x;")


def test_all_requests_sent_before_the_end_are_answered():
    answer = exchange(post(b"/a", b"x") + post(b"/b", b"") + post(b"/c", b"z" * 200_000))
    assert [b"/a=x;" in answer, b"/b=;" in answer, answer[-4:]] == [True, True, b"zzz;"]


@pytest.mark.parametrize(
    "sent", [b"", b"POST /a HTTP/1.1\r\n", post(b"/a", b"x")[:-1], post(b"/a", b"") * 2 + b"GET"]
)
def test_a_connection_that_ends_within_a_request_is_closed(sent):
    answer = exchange(sent)
    assert answer.count(b"/a=;") == sent.count(b"Length: 0")
