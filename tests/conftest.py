"""For all tests: JAX on the CPU, its compilations and the user's cache folder in a place of this run's own."""

import os

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# what tests compile runs for moments: without most optimisations it is there in half the time, in subprocesses too
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
# the cores are busy with several workers: threads of a product of small matrices would wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """The cache of whoever runs the tests is neither read nor filled; it holds for subprocesses too.

    What one worker compiles the others find, as do its subprocesses; all else in the cache is its own.
    """
    from calojax import cache  # noqa: PLC0415  (after the platform is set)

    own, top = tmp_path_factory.mktemp("cache"), tmp_path_factory.getbasetemp()
    shared = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / "compiled"
    shared.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(own))
        cache.folder().mkdir()
        (cache.folder() / f"compiled-{cache.cpu()}").symlink_to(shared)
        cache.keep_compiled()
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_compiled():
    """Programs of one module would fill the memory during the others; what they share is found in the cache."""
    yield
    import jax  # noqa: PLC0415

    jax.clear_caches()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test, or a module, marked `optimised` is compiled as for users."""
    if item.get_closest_marker("optimised") is None:
        return (yield)
    import jax  # noqa: PLC0415

    jax.config.update("jax_disable_most_optimizations", False)
    try:
        return (yield)
    finally:
        jax.config.update("jax_disable_most_optimizations", os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "true")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that several workers end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
