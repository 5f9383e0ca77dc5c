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
