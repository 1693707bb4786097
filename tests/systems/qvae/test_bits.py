"""The bits of the incident energy: exact, unique, never cut off, and the published codes."""

import math

import jax
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.systems.qvae import bits

RNG = np.random.default_rng(0)
TEV = np.exp(RNG.uniform(math.log(180), math.log(6e6), 150_000)).astype(np.float32)


@pytest.fixture(scope="module")
def wide():
    code = bits.for_range(6e6, 512)
    return code, bits.tables(code)


def directly(code, energy):
    energy = energy.astype(np.float64)
    return np.floor(energy), np.floor(code.root * np.sqrt(energy)), np.floor(code.log * np.log(energy))


@pytest.mark.parametrize("name", [*bits.PUBLISHED, "data"])
def test_numbers_are_those_of_float64_in_a_program_of_float32(name, wide):
    code, known = wide if name == "data" else (bits.PUBLISHED[name], bits.tables(bits.PUBLISHED[name]))
    energies = np.concatenate([TEV, np.float32([1, 1.5, 2, 10, 100, 1e3, 2**22, 6e6]), np.arange(2**22, 2**22 + 99)])
    found = jax.jit(lambda known, e: bits.numbers(code, known, e))(known, energies.astype(np.float32))
    for number, expected in zip(found, directly(code, energies.astype(np.float32)), strict=True):
        np.testing.assert_array_equal(number, expected)


def test_the_data_decide_the_widths():
    """As counted for 2^7.5 to 2^22.5 MeV, 1 GeV to 1 TeV and 1 to 300 GeV."""
    assert bits.for_range(2**22.5, 512).widths == (23, 13, 19)
    assert bits.for_range(1e6, 512).widths == (20, 12, 19)
    assert bits.for_range(300_087, 512).widths == (19, 11, 19)


def test_no_two_energies_share_a_code(wide):
    found = np.asarray(bits.encode(*wide, TEV, wide[0].bits)).astype(bool)
    packed = np.packbits(found, axis=1)
    order = np.argsort(TEV)
    different = np.unique(packed, axis=0)
    assert len(different) == len(np.unique(np.stack([np.asarray(n) for n in bits.numbers(*wide, TEV)], 1), axis=0))
    same = (packed[order][1:] == packed[order][:-1]).all(1)
    apart = np.diff(TEV[order].astype(float)) / TEV[order][1:]
    assert apart[same].max(initial=0.0) < 1e-4
    assert len(different) == len(TEV) - same.sum()


def test_bits_can_be_read_back_and_never_decrease(wide):
    code, known = wide
    energies = np.sort(TEV)
    rows = np.asarray(bits.encode(code, known, energies, 512)).astype(np.int64)
    start = 0
    for width, expected in zip(code.widths, directly(code, energies), strict=True):
        number = rows[:, start : start + width] @ (1 << np.arange(width))
        np.testing.assert_array_equal(number, expected)
        assert (np.diff(number) >= 0).all()
        start += width


@pytest.mark.parametrize(("name", "total", "repeats", "zeros"), [("20/20/20", 60, 8, 32), ("15/15/15", 45, 11, 17)])
def test_published_codes_fill_a_partition_as_published(name, total, repeats, zeros):
    code = bits.PUBLISHED[name]
    rows = np.asarray(bits.encode(code, bits.tables(code), TEV[:50], 512))
    assert code.bits == total and set(np.unique(rows)) == {0.0, 1.0}
    np.testing.assert_array_equal(rows[:, : total * repeats], np.tile(rows[:, :total], repeats))
    assert total * repeats + zeros == 512 and not rows[:, -zeros:].any()
    linear = rows[:, :15].astype(np.int64) @ (1 << np.arange(15))
    np.testing.assert_array_equal(linear, np.floor(TEV[:50]).astype(np.int64) % 2**15)  # least significant first


def test_the_refactored_code_has_53_bits():
    assert bits.PUBLISHED["19/17/17"].bits == 53


def test_a_small_partition_keeps_the_most_significant_bits():
    code = bits.for_range(1e5, 16)
    assert code.bits == 16
    rows = np.asarray(bits.encode(code, bits.tables(code), np.float32([1e5, 9e4, 1e3]), 16))
    assert (rows[0] != rows[1]).any()
    number = rows[:, : code.widths[0] - code.dropped[0]] @ (1 << np.arange(code.widths[0] - code.dropped[0]))
    np.testing.assert_array_equal(number, np.array([100_000, 90_000, 1_000]) >> code.dropped[0])


def test_energies_beyond_the_data_have_the_code_of_the_highest():
    code = bits.for_range(1e5, 128)
    found = np.asarray(bits.encode(code, bits.tables(code), np.float32([1e5, 2e5, 1e9, 0.0]), 128))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert not found[3].any()


def test_what_cannot_be_coded_is_refused():
    with pytest.raises(InputError, match="nodes: is 30, but the bits of the incident energy are 60"):
        bits.encode(bits.PUBLISHED["20/20/20"], bits.tables(bits.PUBLISHED["20/20/20"]), TEV[:2], 30)
    for highest in (0.5, 1e9, math.nan):
        with pytest.raises(InputError, match="incident energies"):
            bits.for_range(highest, 512)
