"""Ctrl-C, SIGTERM and SIGUSR1 at any moment, also while the main thread compiles: save what there is, leave with 130.

Python runs signal handlers between two instructions of the main thread, which may be a minute after the signal when it
compiles. A thread that reads the wake-up pipe of the signals sees them at once. Further signals are ignored for some
seconds: batch systems and impatient fingers send several, and the second one must not break the saving.
"""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from calojax.errors import InputError

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
_DEAF = 20.0  # seconds after the first signal in which others are ignored
_PATIENCE = 5.0  # seconds the main thread gets to notice a signal before the process leaves without it
_SOON = 0.05  # seconds until an interrupt that Python has dropped comes again
_CLOSE = 0  # no signal has this number
_last_acts: list[Callable[[], None]] = []


@contextmanager
def interrupting() -> Iterator[None]:
    """Within it every one of the signals is a KeyboardInterrupt; where that cannot come in time, the process leaves."""
    noticed = threading.Event()

    def notice() -> None:
        noticed.set()
        raise KeyboardInterrupt

    def seen() -> None:
        if not noticed.wait(_PATIENCE):
            leave()

    with _listening(notice, seen):
        yield


class Stop:
    """Whether a signal has asked to stop; a context manager, of use in the main thread only.

    `idle` is for long work that cannot ask: a signal that comes within it saves from another thread and leaves.
    """

    def __init__(self):
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._save: Callable[[], None] | None = None

    def __enter__(self) -> "Stop":
        self._context = _listening(self._asked.set, self._seen)
        self._context.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._context.__exit__(None, None, None)

    def asked(self) -> bool:
        return self._asked.is_set()

    @contextmanager
    def idle(self, save: Callable[[], None]) -> Iterator[None]:
        """Within it nothing that `save` looks at may change; KeyboardInterrupt if a signal came before."""
        with self._lock:
            if self.asked():
                save()
                raise KeyboardInterrupt
            self._save = save
        try:
            yield
        finally:
            with self._lock:  # not before a saving that has begun
                self._save = None

    def _seen(self) -> None:
        with self._lock:
            self._asked.set()
            if self._save:
                self._save_and_leave()

    def _save_and_leave(self) -> None:
        assert self._save is not None
        try:
            self._save()
        except BaseException as error:  # what is left is the last whole checkpoint
            leave(2 if isinstance(error, InputError) else 1, str(error))
        leave()


def leave(code: int = 130, sentence: str = "interrupted") -> None:
    """End the process at once, by default as an interrupted one; of cleaning up only `before_leaving` is done."""
    print(f"calojax: {sentence}", file=sys.stderr, flush=True)
    for act in reversed(_last_acts):
        with suppress(Exception):
            act()
    os._exit(code)


@contextmanager
def before_leaving(act: Callable[[], None]) -> Iterator[None]:
    """Within it a process that leaves does this first; for what lies on the disk and would stay there."""
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


@contextmanager
def _listening(first: Callable[[], None], seen: Callable[[], None]) -> Iterator[None]:
    """On a signal call `first` in the main thread and `seen` in another one; elsewhere than in the main thread nothing.

    Of several signals only the first counts, until `_DEAF` seconds after it: then `first` is called again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    again = 0.0

    def handle(number, frame) -> None:
        nonlocal again
        now = time.monotonic()
        if now >= again:
            again = now + _DEAF
            first()

    def dropped(what: Any) -> None:
        """Python drops what is raised while it collects garbage; an interrupt comes again, after that."""
        nonlocal again
        if not issubclass(what.exc_type, KeyboardInterrupt):
            return hook(what)
        again = 0.0
        threading.Timer(_SOON, _thread.interrupt_main).start()

    hook, sys.unraisablehook = sys.unraisablehook, dropped
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    old = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(read, seen), name="calojax-signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.write(write, bytes([_CLOSE]))
        watcher.join()
        os.close(read)
        os.close(write)


def _watch(read: int, seen: Callable[[], None]) -> None:
    heard = False
    while (number := os.read(read, 1)[0]) != _CLOSE:
        if number in _SIGNALS and not heard:
            heard = True
            seen()
