"""Access to a network from several threads: any number of them use it at the same time, or one of them changes it."""

import os
from contextlib import contextmanager
from threading import RLock, get_ident
from weakref import WeakSet


class Access:
    """The context of a call that uses a network; `changing` is the context of a call that changes it.

    Nobody waits: a call raises RuntimeError if a call of another thread is under way that does not go together with it. Calls of
    one thread may contain each other.
    """

    def __init__(self):
        self.lock = RLock()   # reentrant, since a signal handler may interrupt its owner and call the network
        self.users: list[int] = []                   # the thread of each call under way
        self.changer: tuple[int, str] | None = None  # the thread that changes the network, and the name of its call
        _ALL.add(self)

    def __enter__(self):
        me = get_ident()
        with self.lock:
            if self.changer is not None:
                self._check_changer(me)
            self.users.append(me)

    def __exit__(self, *error):
        self.users.remove(get_ident())   # one atomic operation

    @contextmanager
    def changing(self, name):
        me = get_ident()
        with self.lock:
            self._check_changer(me)
            before = self.changer
            if set(self.users) - {me}:
                raise RuntimeError(f"expected a network that no other thread uses during {name}, got one in a call of another "
                                   f"thread: wait for the end of that call, or take a net.copy() for {name}")
            self.changer = before or (me, name)
        try:
            yield
        finally:
            self.changer = before

    def _check_changer(self, me):
        if self.changer is not None and self.changer[0] != me:
            name = self.changer[1]
            raise RuntimeError(f"expected a network that no other thread changes, got one during {name} in another thread: wait "
                               f"for the end of {name}, or use a net.copy() made before it")

    def _forget_other_threads(self):
        """They do not exist in a forked child, and one of them may have held the lock. What it was changing stays refused."""
        me = get_ident()
        self.lock, self.users = RLock(), [me] * self.users.count(me)


_ALL: WeakSet[Access] = WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: [access._forget_other_threads() for access in list(_ALL)])
