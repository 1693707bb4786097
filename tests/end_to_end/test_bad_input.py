"""What cannot be used ends with exit code 2 and one sentence on stderr that names it, and nothing is written."""

import json
import os
import re
import shutil

import h5py
import numpy as np
import pytest

from calojax import data, report

SAMPLE = data.sample("pyramid")
_PROGRESS = re.compile(r"[a-z]+ [\d,]+/[\d,]+ ")


@pytest.fixture
def refused(tmp_path, command, capsys):
    """Run a command that has to be refused; its one sentence. Whatever it was given, no file may appear.

    Before the sentence there may be progress of work that was finished.
    """

    def refuse(*arguments) -> str:
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        code = command(*arguments)
        out, err = capsys.readouterr()
        assert code == 2, err
        assert out == ""
        *progress, sentence = err.strip().splitlines()
        assert all(map(_PROGRESS.match, progress)), err
        assert sentence.startswith("calojax")
        assert sorted(tmp_path.rglob("*")) == before
        return sentence

    return refuse


def assert_matches(pattern: str, said: str) -> None:
    assert re.search(pattern, said), said


def table(place, **sections):
    """A configuration with tables of fields."""
    lines = [f'system = "{sections.pop("system", "pyramid")}"']
    for name, fields in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in fields.items())]
    path = place / "bad.toml"
    path.write_text("\n".join(lines))
    return path


# ---- files of showers, given to every command that reads them

ENERGIES, SHOWERS = np.full((3, 1), 3000.0), np.ones((3, 6480), np.float32)


def spoiled(array, place, value):
    array = array.copy()
    array[place] = value
    return array


# case: (what is changed in a file of three good showers, or left out if None; what is said of it)
BAD_ENERGIES = {
    "zero": ({"incident_energies": spoiled(ENERGIES, 1, 0)}, r"incident_energies, row 1: the energy is 0"),
    "negative": ({"incident_energies": spoiled(ENERGIES, 1, -5)}, r"incident_energies, row 1: the energy is -5"),
    "nan": ({"incident_energies": spoiled(ENERGIES, 2, np.nan)}, r"incident_energies, row 2: the energy is nan"),
    "inf": ({"incident_energies": spoiled(ENERGIES, 0, np.inf)}, r"incident_energies, row 0: the energy is inf"),
    "half": ({"incident_energies": np.full((3, 1), np.inf, "f2")}, r"incident_energies, row 0: .*float16"),
    "no rows": ({"incident_energies": ENERGIES[:0], "showers": SHOWERS[:0]}, r"incident_energies: has no rows"),
    "two columns": ({"incident_energies": np.ones((3, 2))}, r"incident_energies: has the shape \(3, 2\)"),
    "a number": ({"incident_energies": 3000.0}, r"incident_energies: has the shape \(\)"),
    "text": ({"incident_energies": np.array([b"a", b"b", b"c"])}, r"incident_energies: holds \|S1"),
    "no energies": ({"incident_energies": None}, r"incident_energies: is missing \(the file has showers\)"),
    "foreign": (
        {"incident_energies": None, "showers": None, "energy": ENERGIES, "layer_0": SHOWERS[:, :9]},
        r"incident_energies: is missing \(the file has energy, layer_0\), but the layout has",
    ),
}
BAD_SHOWERS = {
    "width": ({"showers": SHOWERS[:, :368]}, r"showers: has 368 columns.*6,480"),
    "rows": ({"showers": SHOWERS[:2]}, r"incident_energies: has 3 rows, but showers has 2"),
    "shape": ({"showers": SHOWERS.reshape(3, 45, 144)}, r"showers: has the shape \(3, 45, 144\)"),
    "group": ({"showers": None, "showers/layer": SHOWERS}, r"showers: is a group"),
    "no showers": ({"showers": None}, r"showers: is missing"),
    "words": ({"showers": SHOWERS.astype("S3")}, r"showers: holds \|S3"),
    "complex": ({"showers": SHOWERS.astype(complex)}, r"showers: holds complex"),
    "bool": ({"showers": SHOWERS > 0}, r"showers: holds bool"),
    "shower nan": ({"showers": spoiled(SHOWERS, (2, 7), np.nan)}, r"showers, row 2, column 7: the energy is nan"),
    "shower inf": ({"showers": spoiled(SHOWERS, (1, 9), np.inf)}, r"showers, row 1, column 9: the energy is inf"),
    "shower negative": ({"showers": spoiled(SHOWERS, (0, 3), -1)}, r"showers, row 0, column 3: the energy is -1"),
}
SPOILED = ("shower nan", "shower inf", "shower negative")
TAKEN = {("info", case) for case in ("width", *SPOILED)}  # other geometries fit, showers are not read
TAKEN |= {("generated", case) for case in SPOILED}  # a bad generator is judged


def written(place, **changed):
    path = place / "bad.hdf5"
    with h5py.File(path, "w") as file:
        for key, value in ({"incident_energies": ENERGIES, "showers": SHOWERS} | changed).items():
            if value is not None:
                file[key] = value
    return path


@pytest.fixture
def readers(tmp_path, place):
    """A command for each place where showers are given, by name, with a path in that place and good showers else."""
    good, ds2, out = place / "slice.hdf5", ("--geometry", "ds2"), tmp_path / "report"
    return lambda path: {
        "prepare": ("prepare", "pyramid", path, "--out", tmp_path / "shards"),
        "train": ("train", table(tmp_path), "--data", path, "--out", tmp_path / "run"),
        "reference": ("evaluate", path, good, *ds2, "--out", tmp_path / "new" / "report"),
        "generated": ("evaluate", good, path, *ds2, "--out", out),
        "floor": ("evaluate", good, good, *ds2, "--train", path, "--out", out),
        "info": ("info", path),
    }


@pytest.mark.parametrize("case", [*BAD_ENERGIES, *BAD_SHOWERS])
def test_showers_that_are_none(tmp_path, refused, readers, case):
    changed, said = (BAD_ENERGIES | BAD_SHOWERS)[case]
    for name, arguments in readers(written(tmp_path, **changed)).items():
        if (name, case) not in TAKEN:
            assert_matches(rf"bad\.hdf5, {said}", refused(*arguments))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("shower nan", "1 of 3 generated showers have values that are not finite and are left out"),
        ("shower inf", "1 of 3 generated showers have values that are not finite and are left out"),
        ("shower negative", "1 of 3 generated showers have negative voxels, which count as empty"),
    ],
)
def test_a_bad_generator_is_judged(tmp_path, place, command, case, said, monkeypatch):
    monkeypatch.setattr(report, "write", lambda *_, **__: None)  # figures take longer than what is tested here
    path, out = written(tmp_path, **BAD_SHOWERS[case][0]), tmp_path / "report"
    assert command("evaluate", place / "slice.hdf5", path, "--geometry", "ds2", "--out", out) == 0
    found = json.loads((out / "metrics.json").read_text())
    assert said in found["warnings"]
    counted = found["inputs"]["inspection"]["generated"]
    assert (counted["read"], counted["not_finite"] + counted["negative"]) == (3, 1)
    assert found["metrics"]["separation.e_tot"]["n_generated"] == (3 if case == "shower negative" else 2)


def test_a_generator_of_which_nothing_is_finite_is_refused(tmp_path, place, refused):
    path = written(tmp_path, showers=np.full_like(SHOWERS, np.nan))
    arguments = ("evaluate", place / "slice.hdf5", path, "--geometry", "ds2", "--out", tmp_path / "report")
    assert_matches(r"bad\.hdf5, showers: every shower has values that are not finite", refused(*arguments))


@pytest.mark.parametrize("case", BAD_ENERGIES)
def test_conditions_that_are_none(tmp_path, refused, run, case):
    changed, said = BAD_ENERGIES[case]
    arguments = ("generate", run, "--conditions", written(tmp_path, **changed), "--out", tmp_path / "g.hdf5")
    assert_matches(rf"bad\.hdf5, {said}", refused(*arguments))


NO_HDF5 = {
    "empty": (b"", "is empty"),
    "a signature": (b"\x89HDF\r\n\x1a\n", "is cut short or damaged"),
    "text": (b"1,2,3\n4,5,6\n", "is not HDF5"),
    "truncated": (SAMPLE.read_bytes()[:200_000], "is cut short or damaged"),
    "absent": (None, "does not exist"),
}


@pytest.mark.parametrize("case", NO_HDF5)
def test_files_that_are_no_hdf5(tmp_path, refused, readers, run, case):
    content, said = NO_HDF5[case]
    path = tmp_path / "bad.hdf5"
    if content is not None:
        path.write_bytes(content)
    generate = ("generate", run, "--conditions", path, "--out", tmp_path / "g.hdf5")
    for arguments in (*readers(path).values(), generate):
        assert_matches(rf"bad\.hdf5: {said}", refused(*arguments))


def test_a_folder_or_a_device_in_place_of_a_file(tmp_path, refused, readers, run):
    for path, said in (
        (tmp_path, "is a folder|nothing of calojax|has no manifest"),
        ("/dev/null", "no.* file|nothing"),
    ):
        generate = ("generate", run, "--conditions", path, "--out", tmp_path / "g.hdf5")
        for arguments in (*readers(path).values(), generate):
            assert_matches(said, refused(*arguments))


def test_showers_of_more_energy_than_allowed(tmp_path, refused, readers, command):
    """Row 2 has 9 times its incident energy, the others 2.16 times; 10 is the default."""
    path = written(tmp_path, showers=SHOWERS * 10)
    for name in ("prepare", "train"):
        assert_matches(r"bad\.hdf5, showers, row 0: holds 21\.6 times", refused(*readers(path)[name]))
    path = written(tmp_path, showers=spoiled(SHOWERS, 2, 9 * 3000 / 6480))
    prepare = ("prepare", "pyramid", path, "--out", tmp_path / "shards", "--most-energy")
    assert_matches(r"bad\.hdf5, showers, row 2: holds 9 times its incident energy", refused(*prepare, 8))
    assert_matches(r"bad\.hdf5, showers, row 0: holds 2\.16 times", refused(*prepare, 1.5))
    assert command(*prepare, 9.5) == 0


# ---- configurations


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"training": {"step": 3}}, r"bad\.toml, \[training\] step: unknown key.*did you mean steps\?"),
        ({"training": {"steps": "true"}}, r"bad\.toml, \[training\] steps: is true, but it must be whole number"),
        ({"training": {"steps": '"10"'}}, r"bad\.toml, \[training\] steps: is \"10\""),
        ({"training": {"steps": 0}}, r"bad\.toml, \[training\] steps: is 0"),
        ({"training": {"learning_rate": "nan"}}, r"\[training\] learning_rate: is nan"),
        ({"training": {"seed": -1}}, r"\[training\] seed: is -1"),
        ({"training": {"batch": 10, "tile": 4}}, r"\[training\] batch: is 10"),
        ({"trainning": {}}, r"trainning: unknown key.*did you mean training\?"),
        ({"model": {"coupling": '"rsq"'}}, r"\[model\] coupling: is \"rsq\""),
        ({"data": {"rows": 0}}, r"\[data\] rows: is 0"),
        ({"data": {"geometry": '"ds9"'}}, r"geometry ds9"),
        ({"system": "piramid"}, r"did you mean pyramid\?"),
        ({"system": "pyr\\nmid"}, r"system pyr\\nmid: is unknown"),
    ],
)
def test_configurations(tmp_path, refused, sections, said):
    config = table(tmp_path, **sections)
    assert_matches(said, refused("train", config, "--data", "sample", "--out", tmp_path / "run"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "key system: is missing"),
        ('system = "pyramid"'.encode("utf-16"), "is not TOML"),
        (b'system = "pyramid\xe9"', "is not TOML"),
        (b"\xef\xbb\xbfsystem = 3", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b'{"system": "pyramid"}', "is not TOML"),
        (b'system = "' + b"a" * 1_000_000 + b'"', "system aaa"),
        (b'system = "pyramid"\nmodel = [1]', "model: is .1., but a table is needed"),
        (b'system = "pyramid"\ndata = "/a/b.hdf5"', "configurations hold no paths"),
        (b'system = "pyramid"\ndata = 3', "data: is 3"),
        (None, "bad.toml: is a folder"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, refused, content, said):
    path = tmp_path / "bad.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    sentence = refused("train", path, "--data", "sample", "--out", tmp_path / "run")
    assert_matches(said, sentence)
    assert len(sentence) < 1000


def test_more_rows_for_validation_than_there_are(tmp_path, refused):
    """The sample is named as it was given, not by its place in the cache."""
    config = table(tmp_path, training={"validation_rows": 1000})
    said = refused("train", config, "--data", "sample", "--out", tmp_path / "run")
    assert "validation_rows: is 1000, but the data have 1,000 rows" in said


def test_settings_of_the_command_line(tmp_path, refused):
    config = table(tmp_path)
    for setting, said in (("training.stepz=3", r"did you mean steps\?"), ("steps", "--set .steps")):
        assert_matches(said, refused("train", config, "--data", "sample", "--out", tmp_path / "r", "--set", setting))
        assert_matches(said, refused("demo", "--out", tmp_path / "demo", "--set", setting))


# ---- geometries

LAYER = '<Bins><Bin name="e"><Layer {}/></Bin></Bins>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("<Bins><Bin name='e'>", "cannot be read"),
        ("<html/>", "has no Bins/Bin"),
        ("<?xml version='1.0' encoding='nope'?><Bins/>", "cannot be read"),
        ("<Bins><Bin name='e'/></Bins>", "has no layers"),
        ("<Bins><Bin name='e'/><Bin name='f'/></Bins>", "holds e, f"),
        (LAYER.format("r_edges='0,1' n_bin_alpha='1'"), "layer None: cannot be read"),
        (LAYER.format("id='0' r_edges='0,a' n_bin_alpha='1'"), "layer 0: cannot be read"),
        (LAYER.format("id='0' r_edges='5,1' n_bin_alpha='1'"), "layer 0, r_edges"),
        (LAYER.format("id='0' r_edges='0,nan' n_bin_alpha='1'"), "layer 0, r_edges"),
        (LAYER.format("id='0' r_edges='0,1' n_bin_alpha='0'"), "layer 0, n_alpha"),
        (LAYER.format("id='0' r_edges='0,1' n_bin_alpha='99999999999'"), "2.31 cells"),
        (LAYER.format("id='0' r_edges='0,1,2' n_bin_alpha='2'"), "showers: has 6,480 columns, but bad:e has 4 cells"),
    ],
)
def test_files_that_are_no_geometry(tmp_path, refused, content, said):
    path = tmp_path / "bad.xml"
    path.write_text(content)
    for arguments in (
        ("prepare", "pyramid", SAMPLE, "--geometry", path, "--out", tmp_path / "shards"),
        ("evaluate", SAMPLE, SAMPLE, "--geometry", path, "--out", tmp_path / "report"),
    ):
        assert_matches(said, refused(*arguments))


@pytest.mark.parametrize("name", ["ds9", "", "ds2:electron", "a\nb", "a" * 5000, "{}", "/dev/null"])
def test_names_that_are_no_geometry(tmp_path, refused, name):
    for arguments in (
        ("prepare", "pyramid", SAMPLE, "--geometry", name.format(tmp_path), "--out", tmp_path / "shards"),
        ("evaluate", SAMPLE, SAMPLE, "--geometry", name.format(tmp_path), "--out", tmp_path / "report"),
    ):
        assert "is neither a name nor a file" in refused(*arguments)


# ---- shards


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def edit(folder, **values):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


ENERGY_FILE = "00000.incident_energy.npy"
SHARDS = {
    "flipped": (lambda folder: flip(folder / ENERGY_FILE), r"incident_energy\.npy: has another checksum"),
    "truncated": (lambda folder: cut(folder / ENERGY_FILE, 100), r"incident_energy\.npy: has 100 bytes, but the mani"),
    "missing": (lambda folder: (folder / ENERGY_FILE).unlink(), r"incident_energy\.npy: is missing"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json|nothing of calojax"),
    "half a manifest": (lambda folder: cut(folder / "manifest.json", 500), r"manifest\.json: cannot be read as JSON"),
    "foreign": (lambda folder: (folder / "manifest.json").write_text("{}"), r"manifest\.json, key format"),
    "newer": (lambda folder: edit(folder, version=2), r"manifest\.json, key version: is 2, but this calojax reads"),
    "wrong type": (lambda folder: edit(folder, rows="many"), r"manifest\.json: is incomplete or wrong"),
    "half of the tables": (lambda folder: cut(folder / "statistics.npz", 900), r"statistics\.npz: cannot be read"),
    "no tables": (lambda folder: (folder / "statistics.npz").unlink(), r"statistics\.npz: cannot be read"),
}
OF_TRAINING = {  # content that only the system looks into
    "another system": (lambda folder: edit(folder, system="zdc"), "was prepared for zdc, but .* trains pyramid"),
    "no geometry": (lambda folder: edit(folder, geometry=None), "geometry of the manifest: is incomplete"),
    "half a geometry": (lambda folder: edit(folder, geometry={"name": "ds2"}), "geometry of the manifest"),
    "no statistics": (lambda folder: edit(folder, statistics={}), "has no statistics 'threshold'"),
    "older statistics": (lambda folder: edit(folder, tables_file=None), "has no statistics"),
}


@pytest.mark.parametrize("case", [*SHARDS, *OF_TRAINING])
def test_shards(tmp_path, refused, run, case):
    spoil, said = (SHARDS | OF_TRAINING)[case]
    folder = tmp_path / "shards"
    shutil.copytree(run.parent / "shards", folder)
    spoil(folder)
    train = ("train", run.parent / "tiny.toml", "--data", folder, "--out", tmp_path / "run")
    assert_matches(said, refused(*train, "--verify"))
    if case in SHARDS:
        assert_matches(said, refused("info", folder, "--verify"))
    else:
        assert_matches(said, refused(*train))


def test_damaged_shards_of_the_cache_are_named_with_what_they_are_made_from(
    tmp_path, refused, command, run, monkeypatch
):
    """Preparing the file again would not mend them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = run.parent / "slice.hdf5"
    arguments = ("train", run.parent / "tiny.toml", "--data", source, "--out", tmp_path / "run")
    assert command(*arguments, "--set", "training.validation_rows=40") == 2  # too many, but now the shards are there
    (made,) = (tmp_path / "calojax" / "shards").glob("[0-9a-f]*")
    cut(made / ENERGY_FILE, 100)
    assert refused(*arguments).endswith(f"remove {made}, it is made again from {source}")


# ---- runs

CHECKPOINT = "checkpoints/20"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def halve(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            cut(path, path.stat().st_size // 2)


# case: (what is done to a run, what is said by generate, by train --resume, by info; "" where it works)
RUNS = {
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), ("has no checkpoint", "", "")),
    "damaged": (lambda run: halve(run / CHECKPOINT / "ema"), ("checkpoint 20: cannot be restored",) * 2 + ("",)),
    "no ema": (lambda run: shutil.rmtree(run / CHECKPOINT / "ema"), ("checkpoint 20: cannot be restored",) * 2 + ("",)),
    "no meta": (lambda run: shutil.rmtree(run / CHECKPOINT / "meta"), ("checkpoint 20: cannot be",) * 2 + ("",)),
    "half a meta": (
        lambda run: halve(run / CHECKPOINT / "meta"),
        ("checkpoint 20: cannot be", "is not JSON", "is not JSON"),
    ),
    "no config": (lambda run: (run / "config.toml").unlink(), ("has no config.toml",) * 2 + ("is missing",)),
    "half a config": (lambda run: cut(run / "config.toml", 100), (r"config\.toml: is not TOML",) * 3),
    "another config": (
        lambda run: change(run / "config.toml", "hidden = 4", "hidden = 8"),
        ("checkpoint 20, model.hidden: is 4", "key model.hidden: was 8", ""),
    ),
    "no manifest": (lambda run: (run / "manifest.json").unlink(), ("has no manifest.json",) * 3),
    "half a manifest": (lambda run: cut(run / "manifest.json", 500), (r"manifest\.json: cannot be read as JSON",) * 3),
    "another system": (
        lambda run: change(run / "manifest.json", '"system": "pyramid"', '"system": "zdc"'),
        ("system zdc: is unknown",) * 2 + ("",),
    ),
    "no tables": (lambda run: (run / "statistics.npz").unlink(), (r"statistics\.npz: cannot be read",) * 3),
    "half a provenance": (lambda run: cut(run / "provenance.json", 50), ("", "", r"provenance\.json: is not JSON")),
    "another provenance": (
        lambda run: (run / "provenance.json").write_text("[]"),
        ("", "", r"provenance\.json: holds"),
    ),
    "another metrics": (
        lambda run: (run / "metrics.jsonl").write_text('{"step": 1, "phase": "a", "time": 1, "values": 3}\n'),
        ("", r"metrics\.jsonl, line 1: is no object", r"metrics\.jsonl, line 1: is no object"),
    ),
    "binary metrics": (
        lambda run: (run / "metrics.jsonl").write_bytes(b"\xff\xfe\n"),
        ("", r"metrics\.jsonl, line 1: is no object", r"metrics\.jsonl, line 1: is no object"),
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_runs(tmp_path, refused, run, case):
    spoil, said = RUNS[case]
    folder = tmp_path / "spoiled"
    shutil.copytree(run, folder)
    spoil(folder)
    config, shards = run.parent / "tiny.toml", run.parent / "shards"
    commands = (
        ("generate", folder, "--n", 3, "--out", tmp_path / "g.hdf5"),
        ("train", config, "--data", shards, "--out", folder, "--resume"),
        ("info", folder),
    )
    for arguments, sentence in zip(commands, said, strict=True):
        if sentence:
            assert_matches(sentence, refused(*arguments))


def test_going_on_with_something_else(tmp_path, refused, run):
    config, shards = run.parent / "tiny.toml", run.parent / "shards"
    resume = ("train", config, "--out", run, "--resume", "--data")
    assert "key training.steps: was 20 when the run started" in refused(*resume, shards, "--set", "training.steps=30")
    assert "key data.rows: was None" in refused(*resume, "sample")
    assert "give --out RUN" in refused("train", config, "--data", shards, "--resume")
    for path, said in ((shards, "has no config.toml"), (run.parent / "slice.hdf5", "is no folder")):
        assert said in refused("train", config, "--data", shards, "--out", path, "--resume")


def test_folders_of_another_kind(tmp_path, refused, run):
    config, shards = run.parent / "tiny.toml", run.parent / "shards"
    assert "has no config.toml" in refused("generate", shards, "--n", 3, "--out", tmp_path / "g.hdf5")
    assert "is a run, but a training reads shards" in refused("train", config, "--data", run, "--out", tmp_path / "run")
    assert "among several sources" in refused("train", config, "--data", shards, shards, "--out", tmp_path / "run")
    assert "is a folder" in refused("prepare", "pyramid", shards, "--out", tmp_path / "shards")
    assert "is a folder" in refused("evaluate", run, SAMPLE, "--geometry", "ds2", "--out", tmp_path / "report")


# ---- metrics


def metrics(**entry):
    entry = {"value": 1.0, "error": None, "floor": None, "n_reference": 1, "n_generated": 1} | entry
    return {"schema": "calojax.metrics/1", "inputs": {}, "warnings": [], "metrics": {"a": entry}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (json.dumps(metrics()).encode()[:50], "not JSON"),
        (b"\xef\xbb\xbf" + json.dumps(metrics()).encode(), "not JSON"),
        (json.dumps(metrics()).encode("utf-16"), "not JSON"),
        (bytes(range(255, 0, -1)), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "the schema is 'list'"),
        (b'{"a": 1}', "the schema is None"),
        (json.dumps(metrics() | {"schema": "calojax.metrics/2"}).encode(), "the schema is 'calojax.metrics/2'"),
        (json.dumps(metrics() | {"metrics": {"a": 1}}).encode(), "every metric is an object"),
        (json.dumps(metrics() | {"warnings": 3}).encode(), "'warnings' is no list"),
        (json.dumps(metrics(value="many")).encode(), "a: 'value' is 'many'"),
        (json.dumps(metrics(error=float("nan"))).encode(), "a: 'error' is nan"),
        (json.dumps(metrics(value=None)).encode(), "a: the value is null without a reason"),
    ],
)
def test_metrics(tmp_path, refused, content, said):
    (tmp_path / "metrics.json").write_bytes(content)
    assert f"metrics.json{', a: ' if said.startswith('a: ') else ''}" in refused("info", tmp_path)
    assert said.removeprefix("a: ") in refused("info", tmp_path / "metrics.json")


def test_curves_of_a_judged_folder(tmp_path, refused):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics()))
    (tmp_path / "curves.npz").write_bytes(b"PK")
    assert "curves.npz: cannot be read" in refused("info", tmp_path)


# ---- where to write

PLACES = {
    "a file": "exists already",
    "a folder": "exists already",
    "a link to nothing": "exists already",
    "below a file": "cannot be written",
    "in /proc": "cannot be written",
    "too long": "too long",
    "read-only": "cannot be written",
}


@pytest.mark.parametrize("case", PLACES)
def test_places_that_cannot_be_written(tmp_path, refused, run, case):
    if case == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "read-only").mkdir(mode=0o500)
    out = {
        "a file": tmp_path / "file",
        "a folder": tmp_path / "folder",
        "a link to nothing": tmp_path / "link",
        "below a file": tmp_path / "file" / "out",
        "in /proc": "/proc/calojax",
        "too long": tmp_path / ("a" * 300),
        "read-only": tmp_path / "read-only" / "out",
    }[case]
    for arguments in (
        ("prepare", "pyramid", run.parent / "slice.hdf5"),
        ("train", run.parent / "tiny.toml", "--data", run.parent / "shards"),
        ("generate", run, "--n", 3),
        ("generate", run, "--n", 3, "--format", "points"),
        ("evaluate", SAMPLE, SAMPLE, "--geometry", "ds2"),
        ("demo",),
    ):
        assert PLACES[case] in refused(*arguments, "--out", out)


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--n", "0"], "--n: 0 is not at least 1"),
        (["--n", "1.5"], "--n: 1.5 is no whole number"),
        (["--n", "99999999999999999999"], r"n: is 99999999999999999999, but 1 to 2\^32"),
        ([], "--n --conditions is required"),
        (["--n", "3", "--conditions", "x"], "--conditions: not allowed with argument --n"),
        (["--conditions", "x", "--energy", "5"], r"energy: is given beside .*--conditions"),
        (["--conditions", "x", "--energy-range", "5:6"], r"energy range: is given beside .*--conditions"),
        (["--n", "3", "--seed", "-1"], r"seed: is -1, but it must be 0 to 2\^32 - 1"),
        (["--n", "3", "--seed", "4294967296"], "seed: is 4294967296"),
        (["--n", "3", "--seed", "x"], "--seed: x is no whole number"),
        (["--n", "3", "--chunk", "0"], "--chunk: 0 is not at least 1"),
        (["--n", "3", "--format", "pictures"], "'pictures'.*'voxels', 'points'"),
        (["--n", "3", "--energy", "20GeV"], "--energy: 20GeV is no number, the energy in MeV"),
        (["--n", "3", "--energy", "0"], "energy: is 0.0, but it must be above 0 MeV"),
        (["--n", "3", "--energy", "-5"], "energy: is -5.0"),
        (["--n", "3", "--energy", "nan"], "energy: is nan"),
        (["--n", "3", "--energy", "inf"], "energy: is inf"),
        (["--n", "3", "--energy", "1e300"], r"incident_energy, row 0: is 1e\+300"),
        (["--n", "3", "--energy-range", "5"], "5 is not LO:HI"),
        (["--n", "3", "--energy-range", "9:5"], "energy range: is 9 to 5 MeV"),
        (["--n", "3", "--energy-range", "0:5"], "energy range: is 0 to 5 MeV"),
        (["--n", "3", "--energy-range", "1:inf"], "energy range: is 1 to inf MeV"),
        (["--n", "3", "--energy", "5", "--energy-range", "1:5"], "not allowed with"),
        (["--n", "3", "--set", "model.hidden=8"], "is not of the table .generation."),
        (["--n", "3", "--set", "generation.tile=0"], "tile: is 0"),
        (["--n", "3", "--set", "generation.checkpoint=7"], "checkpoint: is 7"),
    ],
)
def test_requests(tmp_path, refused, run, arguments, said):
    assert_matches(said, refused("generate", run, *arguments, "--out", tmp_path / "g.hdf5"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "{}/none", "--n", "3", "--out", "{}/g.hdf5"], "none: is no folder"),
        (["generate", "{}", "--n", "3", "--out", "{}/g.hdf5"], "has no config.toml"),
        (["evaluate", str(SAMPLE), str(SAMPLE), "--geometry", "ds3", "--out", "{}/r"], "6,480"),
        (["evaluate", str(SAMPLE), str(SAMPLE), "--out", "{}/r"], "--geometry"),
        (["evaluate", str(SAMPLE), "--geometry", "ds2", "--out", "{}/r"], "GENERATED"),
        (["prepare", "piramid", "x", "--out", "{}/s"], "pyramid"),
        (["prepare", "pyramid", "--out", "{}/s"], "SOURCE"),
        (["prepare", "pyramid", str(SAMPLE), "{}/none.hdf5", "--out", "{}/s"], "none.hdf5: does not exist"),
        (["prepare", "pyramid", str(SAMPLE), "--threshold", "low", "--out", "{}/s"], "threshold"),
        (["prepare", "pyramid", str(SAMPLE), "--threshold", "nan", "--out", "{}/s"], "threshold"),
        (["prepare", "pyramid", str(SAMPLE), "--most-energy", "0", "--out", "{}/s"], "most_energy"),
        (["prepare", "pyramid", str(SAMPLE), "--rows-per-shard", "0", "--out", "{}/s"], "rows_per_shard"),
        (["demo", "piramid"], "pyramid"),
        (["info", "{}"], "nothing of calojax"),
        (["info", "{}/a\nb"], r"a\nb: does not exist"),
        (["info"], "PATH"),
        (["train", "{}/none.toml", "--data", "sample"], "none.toml: does not exist"),
        (["train"], "CONFIG.toml"),
        (["fly"], "fly"),
    ],
)
def test_arguments(tmp_path, refused, arguments, said):
    assert said in refused(*(argument.format(tmp_path) for argument in arguments))


def test_training_without_data_or_on_a_file_that_is_not_there(tmp_path, refused):
    config = table(tmp_path)
    assert "names no data" in refused("train", config, "--out", tmp_path / "run")
    missing = tmp_path / "none.hdf5"
    assert "none.hdf5: does not exist" in refused("train", config, "--data", missing, "--out", tmp_path / "run")
