"""What several processes of one run do together (jax.distributed); with one process all of it is nothing."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import jax
import numpy as np

from calojax.errors import InputError, NotFinite
from calojax.stopping import Stop

T = TypeVar("T")


def join() -> None:
    """Become one of the processes that Slurm, MPI, Kubernetes or a TPU pod has started; before anything is computed.

    InputError where none of them has.
    """
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
        raise InputError(
            where="--distributed",
            found=f"finds no other processes ({' '.join(str(error).split())[:200]})",
            rule="Slurm, MPI, Kubernetes or a TPU pod has to start them",
            remedy="start with srun or mpirun, or leave it out",
        ) from None


def is_first() -> bool:
    """Whether this process writes what only one may write."""
    return jax.process_index() == 0


def alone() -> bool:
    """Whether no other process takes part."""
    return jax.process_count() == 1


def refuse_several(what: str) -> None:
    """InputError unless this is the only process."""
    if not alone():
        raise InputError(
            where=what,
            found=f"runs in {jax.process_count()} processes",
            rule="no process would have the whole",
            remedy="give --out FILE",
        )


@contextmanager
def together() -> Iterator[None]:
    """What every process does its part of, or one for all; at its end they meet, and what one of them raised all raise.

    Of several errors it is that of the first of these processes; its place names the process unless it is process 0.
    Nothing else that all processes do together may be inside.
    """
    if alone():
        yield
        return
    error = None
    try:
        yield
    except (Exception, KeyboardInterrupt) as raised:
        error = raised
    content = b"" if error is None else pickle.dumps(_as_told(error))
    failed, content = next(((number, said) for number, said in enumerate(_gathered(content)) if said), (-1, b""))
    if content:
        raise pickle.loads(content) from (error if failed == jax.process_index() else None)


def side_by_side(items: Iterator[T]) -> Iterator[T]:
    """The items of this process, while the others make theirs: all make one, then meet, until all are through.

    An error in one of several processes, or a signal to it (KeyboardInterrupt), ends all of them at the next meeting.
    """
    if alone():
        yield from items
        return
    with Stop() as stop:
        going = True
        while going:
            with together():
                item = next(items, None)
                if stop.asked():
                    raise KeyboardInterrupt
            going = any_of(item is not None, now=True)
            if item is not None:
                yield item


def any_of(flag: bool, *, now: bool) -> bool:
    """Whether the flag is set, with several processes in any of them; they ask each other only if `now`."""
    if jax.process_count() == 1:
        return flag
    if not now:
        return False
    return bool(_of_all(np.bool_(flag)).any())


def _as_told(error: BaseException) -> BaseException:
    """An error as every process can raise it."""
    place = f"process {jax.process_index()}"
    if isinstance(error, InputError):
        return error if is_first() else error.inside(place)
    if isinstance(error, OSError):
        named = [place] * (not is_first()) + [str(error.filename or "a file")]
        return OSError(error.errno, error.strerror or str(error), ", ".join(named))
    if isinstance(error, NotFinite | KeyboardInterrupt):
        return error
    return RuntimeError(f"{place}: {error!r}")


def _gathered(content: bytes) -> list[bytes]:
    """The bytes of all processes, usually none."""
    sizes = _of_all(np.int32(len(content)))
    if not sizes.any():
        return []
    padded = np.frombuffer(content.ljust(sizes.max(), b"\0"), np.uint8)
    return [row[:size].tobytes() for row, size in zip(_of_all(padded), sizes, strict=True)]


def _of_all(array: np.ndarray | np.generic) -> np.ndarray:
    """An array of each process, of the same shape in all, one after another."""
    from jax.experimental import multihost_utils  # noqa: PLC0415

    return multihost_utils.process_allgather(array)
