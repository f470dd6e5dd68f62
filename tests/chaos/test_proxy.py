"""The proxy between clients and brokers hides nothing that a network would tell."""

import socket

from tests.chaos.proxy import Proxy


def test_a_client_that_waits_for_an_answer_hears_that_its_broker_was_killed():
    broker = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(broker.getsockname()[1])
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
            client.sendall(b"a request")
            taken, _ = broker.accept()
            assert taken.recv(100) == b"a request"
            taken.close()  # as the kernel does for a process that was killed
            client.settimeout(10)
            assert client.recv(100) == b""
    finally:
        proxy.close()
        broker.close()
