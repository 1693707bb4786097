"""What several processes of one run do together (jax.distributed); with one process all of it is nothing."""

import jax


def is_first() -> bool:
    """Whether this process writes what only one may write."""
    return jax.process_index() == 0


def meet(name: str) -> None:
    """Wait until all processes are here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils  # noqa: PLC0415

        multihost_utils.sync_global_devices(name)


def any_of(flag: bool, *, now: bool) -> bool:
    """Whether the flag is set, with several processes in any of them; they ask each other only if `now`."""
    if jax.process_count() == 1:
        return flag
    if not now:
        return False
    from jax.experimental import multihost_utils  # noqa: PLC0415

    return bool(multihost_utils.process_allgather(flag).any())
