"""What several processes of one run do together (jax.distributed); with one process all of it is nothing."""

import jax

from calojax.errors import InputError


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
