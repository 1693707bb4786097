"""Batches read ahead of their use by one thread, which ends with the loader whatever happens."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from calojax.shards.batches import Batches, Position
from calojax.shards.reader import Shards

Place = Callable[[dict[str, Any]], Any]


class Loader:
    """Iterator over the batches from `position` on, to the end of `epochs` epochs (None: without end).

    batch, tile, rows, buckets, seed, shuffle, process_index, process_count: see `Batches`; place: what is done with
    a batch in the thread, such as putting it on the devices; ahead: batches kept ready. An exception of the thread
    is raised by `next`. `position` is that of the next batch to come out, `waited` the seconds spent in `next`.
    Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        batch: int,
        tile: int,
        rows: tuple[int, int] | None = None,
        buckets: Mapping[str, tuple[int, ...]] | None = None,
        seed: int = 0,
        shuffle: bool = True,
        position: Position | tuple[int, int] = (0, 0),
        epochs: int | None = None,
        process_index: int = 0,
        process_count: int = 1,
        place: Place | None = None,
        ahead: int = 4,
    ):
        batches = Batches(shards, batch, tile, rows, buckets, seed, shuffle, process_index, process_count)
        self.batches = batches
        self.position = Position(*position)
        self.waited = 0.0
        self._end = None if epochs is None else self.position.epoch + epochs
        self._ready: queue.Queue = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        work = (batches, self.position, self._end, place, self._ready, self._stop)
        self._thread = threading.Thread(target=_work, args=work, name="calojax-loader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._stop.is_set() or self.position.epoch == self._end:
            raise StopIteration
        before = time.perf_counter()
        batch, error = self._ready.get()
        self.waited += time.perf_counter() - before
        if error is not None:
            self.close()
            raise error
        self.position = self.batches.after(self.position)
        return batch

    def close(self) -> None:
        """End the thread and drop what it read ahead; may be called twice."""
        self._stop.set()
        while self._thread.is_alive():
            _drain(self._ready)
            self._thread.join(timeout=0.05)
        _drain(self._ready)

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def __del__(self):
        if hasattr(self, "_stop"):
            self._stop.set()


def _work(batches: Batches, position: Position, end, place, ready: queue.Queue, stop: threading.Event) -> None:
    """Thread: put (batch, None) until the end or `stop`, or (None, error) once. Holds no reference to the loader."""
    try:
        while not stop.is_set() and position.epoch != end:
            batch = batches.at(position)
            _put(ready, (batch if place is None else place(batch), None), stop)
            position = batches.after(position)
    except BaseException as error:
        _put(ready, (None, error), stop)


def _put(ready: queue.Queue, item, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            return ready.put(item, timeout=0.1)
        except queue.Full:
            continue


def _drain(ready: queue.Queue) -> None:
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        pass
