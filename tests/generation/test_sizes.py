"""The tile of a request: decided by its number of showers, the configuration and the kind of device."""

import pytest

from calojax.generation import Generation, sizes


def tile(showers, configured=None, platform="cpu"):
    return sizes.suited(Generation(tile=configured), showers, platform).tile


@pytest.mark.parametrize(
    ("showers", "expected"), [(1, 1), (2, 1), (3, 5), (5, 5), (10, 5), (20, 25), (25, 25), (100, 25), (10_000, 25)]
)
def test_small_requests_have_small_tiles(showers, expected):
    assert tile(showers) == expected


def test_another_device_has_larger_tiles_and_would_rather_fill_one_than_start_another():
    assert [tile(n, platform="gpu") for n in (1, 3, 100, 500, 2_000, 10_000)] == [1, 5, 125, 625, 2_500, 2_500]


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("configured", [None, 1, 4, 64])
def test_a_tile_is_never_larger_than_configured_and_few_are_compiled(configured, platform):
    found = {tile(n, configured, platform) for n in range(1, 400)}
    assert len(found) <= 5 and max(found) <= (configured or 2_500)
    assert configured is None or tile(100 * configured, configured, platform) == configured


@pytest.mark.parametrize("showers", [1, 7, 30, 99, 1_001])
def test_filling_costs_less_than_half(showers):
    """Unless it is a shower or two, which are not worth a program of their own."""
    size = tile(showers)
    assert -(-showers // size) * size <= max(2 * showers, showers + 2)


def test_a_window_is_whole_tiles_and_what_was_decided_is_decided():
    for showers in (1, 7, 60, 5_000):
        found = sizes.suited(Generation(tile=17, window=100), showers, "cpu")
        assert found.window % found.tile == 0 and found.window - 100 < found.tile
        assert sizes.suited(Generation(tile=found.tile, window=found.window), showers, "cpu") == found


@pytest.mark.parametrize(
    ("showers", "window", "step"), [(1, 1_600, 1), (100, 1_600, 1), (10_000, 1_600, 2), (10_000, 25, 1)]
)
def test_many_tiles_of_unlike_energies_share_programs(showers, window, step):
    assert sizes.suited(Generation(window=window), showers, "cpu").step == step
