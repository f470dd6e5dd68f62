"""A TCP proxy on loopback that delays, resets and cuts connections to one port."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time


class Proxy:
    """Forwards to `target`. `delay` in seconds is added to every chunk of each direction; `cut` refuses everything."""

    def __init__(self, target: int, seed: int = 0) -> None:
        self.target = target
        self.delay = 0.0
        self.is_cut = False
        self._chance = random.Random(seed)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True, name=f"proxy-{self.port}").start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
                server.settimeout(None)
            except OSError:
                _reset(client)
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._carry, args=(source, sink, pair), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(chunk)
        with self._lock:
            self._pairs.discard(pair)
        for one in pair:
            # Closing alone tells nobody while the other thread still waits in `recv`: the kernel keeps the connection, and
            # a client whose broker was killed would wait for its answer until its request times out.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                one.close()

    def reset(self, share: float = 1.0) -> int:
        """Reset so many of the open connections; return how many."""
        with self._lock:
            chosen = [pair for pair in self._pairs if self._chance.random() < share]
        for pair in chosen:
            for one in pair:
                _reset(one)
        return len(chosen)

    def cut(self, *, on: bool) -> None:
        """Refuse new connections and reset the open ones, or let them pass again."""
        self.is_cut = on
        if on:
            self.reset()

    def close(self) -> None:
        """End all connections and listen no more."""
        self.is_cut = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()


def _reset(one: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
