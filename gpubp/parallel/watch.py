"""A connection of each rank with rank 0, by which ranks learn within seconds that one of them has failed or died.

MPI itself has no word for this: whoever waits for a dead rank waits forever, unless the launcher ends all ranks.
"""

import atexit
import os
import secrets
import selectors
import socket
import threading
import time
from contextlib import suppress

from ..streams import warn

CONNECT_SECONDS = 10.0
LEAVE_SECONDS = 8.0   # that a process which ends after a failure gives the others to print and save
KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}   # seconds, and probes: a machine that is gone says nothing
WELL = "well"   # what a rank says at its end, if not why it fails; then its connections end


class Watch:
    """failure: a sentence that names the first rank that failed, and why; "" while there is none. gather: as of Ranks."""

    def __init__(self, rank, size, gather):
        self.failure, self.over, self.rank, self.size, self.nccl = "", False, rank, size, None
        self.peers: dict[int, socket.socket] = {}   # that have not ended
        self.ended: list[socket.socket] = []
        self.left = threading.Event()   # whether this rank has
        self.names = gather((socket.gethostname(), os.getpid()))
        reasons = [*filter(None, gather(self._connect(gather)))]
        if not reasons:
            threading.Thread(target=self._listen, daemon=True).start()
            return
        for peer in self.peers.values():
            peer.close()
        self.peers = {}
        if self.rank == 0:
            warn(f"expected connections of all ranks with rank 0, got: {reasons[-1]}: training goes on, but if a rank dies, only "
                 "the launcher can end the others", RuntimeWarning, stacklevel=5)

    def _connect(self, gather):
        """Connect; returns None, or why that was not possible. Rank 0 accepts only connections that know a secret."""
        local, server, place = len({name for name, _ in self.names}) == 1, None, None
        if self.rank == 0:
            with suppress(OSError):
                server = socket.create_server(("localhost" if local else "", 0), backlog=self.size)
                place = ("localhost" if local else self.names[0][0], server.getsockname()[1]), secrets.token_bytes(16)
        place = gather(place)[0]
        if place is None:
            return "rank 0 cannot listen"
        address, secret = place
        try:
            if server is None:
                self._add(0, socket.create_connection(address, CONNECT_SECONDS)).sendall(secret + self.rank.to_bytes(4, "big"))
                return None
            with server:
                server.settimeout(CONNECT_SECONDS)
                while len(self.peers) < self.size - 1:
                    peer, _ = server.accept()
                    peer.settimeout(CONNECT_SECONDS)
                    words = peer.recv(20, socket.MSG_WAITALL)
                    if secrets.compare_digest(words[:16], secret):
                        self._add(int.from_bytes(words[16:], "big"), peer)
        except OSError as error:
            return f"{address[0]}, port {address[1]}: {error}"
        return None

    def _add(self, rank, peer):
        peer.settimeout(None)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):   # not on every system
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self.peers[rank] = peer
        return peer

    def _listen(self):
        """The body of the thread: it reads what peers say, until their connections end."""
        with selectors.DefaultSelector() as selector:
            for rank, peer in self.peers.items():
                selector.register(peer, selectors.EVENT_READ, [rank, b""])
            while selector.get_map():
                for key, _ in selector.select():
                    received = b""
                    with suppress(OSError):   # of a connection that was reset
                        received = key.fileobj.recv(4096)   # type: ignore[union-attr]
                    key.data[1] += received
                    if not received or received.endswith(b"\n"):
                        self._hear(key.data[0], key.data[1].decode(errors="replace").strip())
                    if not received:
                        selector.unregister(key.fileobj)
                        self.ended.append(self.peers.pop(key.data[0]))
        self.left.wait()
        for peer in self.ended:   # only now, since peers wait for the end of rank 0
            peer.close()

    def _hear(self, rank, words):
        if words == WELL:
            return
        host, process = self.names[rank]
        self.failure = self.failure or words or (
            f"rank {rank} (process {process} on {host}) ended without a word: it was killed, or it crashed")
        if self.rank == 0:
            self.end(self.failure)
        if self.nccl:   # so that the GPU does not wait for the rank
            self.nccl.end()

    def end(self, sentence=WELL):
        """Tell the peers that all is well here, or why not; rank 0 also tells them of others that have failed."""
        if self.over:
            return
        self.over = True
        for peer in [*self.peers.values()]:
            with suppress(OSError):   # it may have ended
                peer.sendall(f"{sentence}\n".encode())
        if sentence == WELL:
            self._hang_up()
        else:
            atexit.register(self.leave)

    def leave(self):
        """Let the other processes end their work, for a while; rank 0 leaves last."""
        if self.rank:
            self._hang_up()
        late = time.monotonic() + LEAVE_SECONDS
        while self.peers and time.monotonic() < late:
            time.sleep(0.01)
        self._hang_up()

    def _hang_up(self):
        for peer in [*self.peers.values(), *self.ended]:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
        self.left.set()
