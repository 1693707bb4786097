"""CaloChallenge files: what is written comes back, in blocks of any size; what is wrong is said in one sentence."""

import h5py
import numpy as np
import pytest

from calojax import geometry
from calojax.data import sample
from calojax.errors import InputError
from calojax.files import calochallenge
from calojax.geometry import Cylinder, Layer

SMALL = Cylinder("small", (Layer(0, (0.0, 1.0, 2.0), 3, 0.0, 1.0), Layer(1, (0.0, 1.0), 4, 1.0, 2.0)), 0.1)
ROWS = 23


@pytest.fixture
def content():
    random = np.random.default_rng(1)
    showers = random.exponential(size=(ROWS, SMALL.n_cells)) * (random.uniform(size=(ROWS, SMALL.n_cells)) < 0.4)
    return np.exp(random.uniform(5, 9, ROWS)), showers.astype(np.float32)


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "showers.hdf5"
    with calochallenge.Writer(path, SMALL, {"seed": 3}) as writer:
        writer.append(content[0][:10], content[1][:10])
        writer.append(content[0][10:, None], content[1][10:])
    return path


def save(path, **datasets):
    with h5py.File(path, "w") as stream:
        for key, value in datasets.items():
            stream[key] = value
    return path


def test_what_is_written_comes_back_bit_for_bit(file, content):
    energies, showers = calochallenge.read(file, SMALL)
    assert np.array_equal(energies, content[0]) and np.array_equal(showers, content[1])
    assert energies.dtype == np.float64 and showers.dtype == np.float32


@pytest.mark.parametrize("rows", [1, 7, ROWS, 1000])
def test_blocks_of_any_size_add_up_to_all_files_in_order(file, content, rows):
    blocks = list(calochallenge.stream([file, file], SMALL, rows=rows))
    assert max(len(block.showers) for block in blocks) == min(rows, ROWS)
    assert np.array_equal(np.concatenate([block.incident_energy for block in blocks]), np.tile(content[0], 2))
    assert np.array_equal(np.concatenate([block.showers for block in blocks]), np.tile(content[1], (2, 1)))


@pytest.mark.parametrize("start", [0, 1, ROWS - 1, ROWS, ROWS + 3, 2 * ROWS])
def test_a_stream_starts_where_it_is_told(file, content, start):
    blocks = list(calochallenge.stream([file, file], SMALL, rows=7, start=start))
    energies = [block.incident_energy for block in blocks]
    assert np.array_equal(np.concatenate([*energies, []]), np.tile(content[0], 2)[start:])


def test_a_slice_of_rows_is_read(file, content):
    energies, showers = calochallenge.read(file, SMALL, slice(-5, None))
    assert np.array_equal(energies, content[0][-5:]) and np.array_equal(showers, content[1][-5:])
    assert len(calochallenge.read(file, SMALL, slice(9, 4)).showers) == 0


def test_the_file_has_the_layout_of_the_challenge_and_says_where_it_comes_from(file):
    with h5py.File(file) as stream:
        assert stream["incident_energies"].shape == (ROWS, 1)
        assert stream["showers"].shape == (ROWS, SMALL.n_cells)
        assert stream["showers"].compression == "gzip" and not stream["showers"].shuffle
        assert (stream.attrs["units"], stream.attrs["seed"]) == ("MeV", 3)
        assert stream.attrs["geometry_digest"] == SMALL.digest


@pytest.mark.parametrize("key", ["incident_energies", "incident_energy"])
@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_both_spellings_shapes_and_precisions_are_read(tmp_path, content, key, shape, kind):
    values = {key: content[0].astype(kind).reshape(shape), "showers": content[1].astype(kind)}
    energies, showers = calochallenge.read(save(tmp_path / "a.hdf5", **values), SMALL)
    assert np.array_equal(energies, content[0].astype(kind)) and np.array_equal(showers, content[1])


def test_energies_are_read_alone_from_a_file_without_showers(tmp_path, content):
    path = save(tmp_path / "energies.hdf5", incident_energies=content[0])
    assert np.array_equal(calochallenge.read_energies(path), content[0])


def test_the_summary_says_what_is_in_the_file(file, content):
    found = calochallenge.summary(file)
    assert (found.rows, found.n_cells) == (ROWS, SMALL.n_cells)
    assert (found.lowest_energy, found.highest_energy) == (content[0].min(), content[0].max())
    assert found.attributes["seed"] == 3


def test_the_sample_that_ships_is_a_valid_file():
    blocks = list(calochallenge.stream(sample("pyramid"), geometry.load("ds2")))
    assert sum(len(block.showers) for block in blocks) == 1200


@pytest.mark.parametrize("kind", ["f2", ">f2", ">f4", ">f8", "i4", ">u2"])
def test_numbers_of_any_type_come_back_as_what_they_are(tmp_path, content, kind):
    energies, showers = content[0].astype(kind), (1e4 * content[1]).astype(kind)
    found = calochallenge.read(save(tmp_path / "a.hdf5", incident_energies=energies, showers=showers), SMALL)
    assert found.incident_energy.dtype.isnative and found.showers.dtype == np.float32
    assert np.array_equal(found.incident_energy, energies.astype(float))
    assert np.array_equal(found.showers, showers.astype("f4"))


def test_energies_that_look_like_gev_are_warned_of(tmp_path, content):
    path = save(tmp_path / "gev.hdf5", incident_energies=content[0] / 1000, showers=content[1] / 1000)
    for read in (lambda: calochallenge.summary(path), lambda: list(calochallenge.stream(path, SMALL))):
        with pytest.warns(UserWarning, match=r"gev\.hdf5: the largest incident energy is .* looks like GeV"):
            read()


def test_showers_with_far_more_than_their_energy_are_refused_where_a_limit_is_set(tmp_path, content):
    energies, showers = content[0], content[1].copy()
    showers[11, 0] = 1234 * energies[11] - showers[11, 1:].sum()
    path = save(tmp_path / "units.hdf5", incident_energies=energies, showers=showers)
    assert len(list(calochallenge.stream(path, SMALL))) == 1
    assert len(list(calochallenge.stream(path, SMALL, most_energy=1235))) == 1
    with pytest.raises(InputError, match=r"units\.hdf5, showers, row 11: holds 1,234 times .* MeV") as caught:
        list(calochallenge.stream(path, SMALL, rows=5, most_energy=2))
    assert "\n" not in str(caught.value)


# ---- what is wrong is said


def _change(name, row, column, value):
    def make(path, energies, showers):
        array = {"incident_energies": energies[:, None], "showers": showers}
        array = {key: each.copy() for key, each in array.items()}
        array[name][row, column] = value
        save(path, **array)

    return make


def _text(content):
    return lambda path, energies, showers: path.write_bytes(content)


def _datasets(**change):
    def make(path, energies, showers):
        whole = {"incident_energies": energies, "showers": showers}
        made = {key: value(energies, showers) for key, value in change.items()}
        save(path, **{key: value for key, value in (whole | made).items() if value is not None})

    return make


def _cut(share):
    def make(path, energies, showers):
        whole = path.with_name("whole.hdf5")
        save(whole, incident_energies=np.tile(energies, 40), showers=np.tile(showers, (40, 1)))
        path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])

    return make


def _without_file(path, energies, showers):
    path.mkdir()


BAD = {
    "NaN": (_change("showers", 7, 4, np.nan), "showers, row 7, column 4: the energy is nan"),
    "infinity": (_change("showers", 7, 4, np.inf), "showers, row 7, column 4: the energy is inf"),
    "negative": (_change("showers", 22, 0, -1.5), "showers, row 22, column 0: the energy is -1.5"),
    "zero incident": (_change("incident_energies", 12, 0, 0.0), "incident_energies, row 12: the energy is 0.0"),
    "negative incident": (_change("incident_energies", 0, 0, -3.0), "incident_energies, row 0: the energy is -3.0"),
    "NaN incident": (_change("incident_energies", 3, 0, np.nan), "incident_energies, row 3: the energy is nan"),
    "infinite incident": (_change("incident_energies", 3, 0, np.inf), "incident_energies, row 3: the energy is inf"),
    "too large for float32": (
        _datasets(showers=lambda e, s: s.astype(float) + 1e39),
        "row 0, column 0: the energy is inf (stored as float64)",
    ),
    "too large for float16": (
        _datasets(incident_energies=lambda e, s: np.where(np.arange(ROWS) < 4, e, np.inf).astype("f2")),
        "incident_energies, row 4: the energy is inf (stored as float16)",
    ),
    "other keys": (
        _datasets(
            incident_energies=lambda e, s: None,
            showers=lambda e, s: None,
            energy=lambda e, s: e,
            layer_0=lambda e, s: s,
        ),
        "is missing (the file has energy, layer_0), but the layout has incident_energies and showers",
    ),
    "no showers": (_datasets(showers=lambda e, s: None), "showers: is missing (the file has incident_energies)"),
    "no energies": (_datasets(incident_energies=lambda e, s: None), "incident_energies: is missing"),
    "foreign": (_datasets(incident_energies=lambda e, s: None, showers=lambda e, s: None), "(the file has nothing)"),
    "wrong width": (_datasets(showers=lambda e, s: s[:, 1:]), "showers: has 9 columns, but small has 10 cells"),
    "width of ds1": (_datasets(showers=lambda e, s: np.zeros((ROWS, 368))), "give the geometry ds1-photons"),
    "one dimension": (_datasets(showers=lambda e, s: s[:, 0]), "showers: has the shape (23,)"),
    "two energies": (_datasets(incident_energies=lambda e, s: np.stack([e, e], 1)), "has the shape (23, 2)"),
    "one energy": (_datasets(incident_energies=lambda e, s: e[0]), "incident_energies: has the shape ()"),
    "fewer energies": (_datasets(incident_energies=lambda e, s: e[1:]), "has 22 rows, but showers has 23"),
    "no rows": (_datasets(incident_energies=lambda e, s: e[:0], showers=lambda e, s: s[:0]), "has no rows"),
    "words": (_datasets(showers=lambda e, s: np.array([[b"a"] * 10] * ROWS)), "showers: holds |S1"),
    "a group": (_datasets(**{"showers": lambda e, s: None, "showers/a": lambda e, s: s}), "showers: is a group"),
    "empty": (_text(b""), "is empty"),
    "text": (_text(b"incident_energies,showers\n1,2\n" * 100), "is not HDF5"),
    "cut in the middle": (_cut(0.5), "is cut short or damaged"),
    "cut at the head": (_cut(0.01), "is cut short or damaged"),
    "a folder": (_without_file, "is a folder"),
    "nothing": (lambda path, energies, showers: None, "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named_with_file_key_row_and_rule(tmp_path, content, case):
    make, said = BAD[case]
    path = tmp_path / "bad.hdf5"
    make(path, *content)
    with pytest.raises(InputError) as caught:
        list(calochallenge.stream(path, SMALL, rows=5))
    text = str(caught.value)
    assert text.startswith(str(path)) and said in text and "\n" not in text
    assert ", but " in text and "; " in text


def test_the_layout_of_all_files_is_checked_before_the_first_block(tmp_path, file, content):
    bad = save(tmp_path / "bad.hdf5", incident_energies=content[0], showers=content[1][:, 1:])
    with pytest.raises(InputError, match=r"bad\.hdf5, showers: has 9 columns"):
        next(calochallenge.stream([file, bad], SMALL, rows=5))


def test_data_that_were_damaged_after_the_header_are_named(tmp_path, content):
    path = tmp_path / "bad.hdf5"
    with h5py.File(path, "w") as stream:
        stream["incident_energies"] = content[0]
        showers = stream.create_dataset("showers", data=content[1], chunks=(5, 10), compression="gzip")
        place = showers.id.get_chunk_info(2).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[place : place + 20] = b"\xff" * 20
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"bad\.hdf5, showers: rows 10 to 14 cannot be read"):
        list(calochallenge.stream(path, SMALL, rows=5))


# ---- writing


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path, content):
    with pytest.raises(RuntimeError), calochallenge.Writer(tmp_path / "a.hdf5", SMALL) as writer:
        writer.append(*content)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path, content):
    path = tmp_path / "new" / "a.hdf5"
    with calochallenge.Writer(path, SMALL) as writer:
        writer.append(*content)
        assert not path.exists()
    assert [each.name for each in path.parent.iterdir()] == ["a.hdf5"]


def test_a_file_that_exists_is_never_overwritten(file, content):
    before = file.read_bytes()
    with pytest.raises(InputError, match="exists already"), calochallenge.Writer(file, SMALL):
        pass
    assert file.read_bytes() == before


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.hdf5"
    with pytest.raises(InputError, match="cannot be written"), calochallenge.Writer(path, SMALL):
        pass


def test_two_writers_of_one_file_do_not_mix(tmp_path, content):
    path = tmp_path / "a.hdf5"
    with calochallenge.Writer(path, SMALL) as writer:
        with pytest.raises(InputError, match="cannot be written"), calochallenge.Writer(path, SMALL):
            pass
        writer.append(*content)
    assert calochallenge.summary(path).rows == ROWS


def test_showers_of_another_width_are_refused(tmp_path, content):
    with pytest.raises(ValueError, match="is not"), calochallenge.Writer(tmp_path / "a.hdf5", SMALL) as writer:
        writer.append(content[0], content[1][:, 1:])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_negative_energies_of_cells_may_be_allowed_but_not_what_is_not_finite(tmp_path, content, value):
    energies, showers = content[0], content[1].copy()
    showers[3, 2] = -5.0
    path = save(tmp_path / "negative.hdf5", incident_energies=energies, showers=showers)
    (block,) = calochallenge.stream(path, SMALL, negative=True)
    np.testing.assert_array_equal(block.showers, showers.astype(np.float32))
    showers[11, 4] = value
    path = save(tmp_path / "spoilt.hdf5", incident_energies=energies, showers=showers)
    with pytest.raises(InputError, match=r"spoilt\.hdf5, showers, row 11, column 4: .* are finite, in MeV"):
        list(calochallenge.stream(path, SMALL, negative=True))
