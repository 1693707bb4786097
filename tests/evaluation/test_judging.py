"""The judge as a whole: what it says of honest and of broken generators, and how it says what it cannot know."""

import dataclasses
import json

import numpy as np
import pytest

from calojax import cli, evaluation, geometry
from calojax.errors import InputError
from calojax.files import calochallenge

_QUANTITIES = ("response.", "hits.", "correlation.")


def judge(toy, reference, generated, **more):
    return evaluation.judge(reference, generated, toy, level="quick", progress=False, **more)


def lines(metrics):
    return {line.name.split(".")[0] + "|" + line.title: line for line in evaluation.verdict(metrics)}


def test_an_honest_generator_passes_everything(judged):
    assert [line.title for line in evaluation.verdict(judged) if line.level not in (0, 1)] == []


def test_the_names_are_the_stable_ones(judged, toy):
    expected = {"separation.e_tot", "frobenius.occupancy", "memorisation.share"}
    expected |= {f"separation.e_layer.{i}" for i in range(toy.n_layers)}
    families = ("e_layer", "ec_eta", "ec_phi", "width_eta", "width_phi", "ec_r", "width_r", "sparsity")
    expected |= {f"separation.{family}.{part}" for family in families for part in ("mean", "max")}
    expected |= {f"correlation.hits.{d}.{b}" for d in ("alpha", "opposite", "z", "r") for b in range(4)}
    expected |= {f"{name}.{b}.{part}" for name in ("response", "hits") for b in range(4) for part in ("mean", "width")}
    assert expected <= set(judged)


def test_identical_showers_are_at_zero(toy, draw):
    sample = draw(300, 1)
    found = judge(toy, sample, sample)
    assert all(found[name].value == 0 for name in found if name.startswith(("separation.", "frobenius.")))
    for name in found:
        if name.startswith(_QUANTITIES) and found[name].value is not None:
            assert found[name].value == pytest.approx(found[name].more["reference"], rel=1e-12)


def test_scaled_energies_are_seen_in_the_response_and_not_in_the_hits(toy, draw):
    incident, showers = draw(800, 2)
    found = judge(toy, draw(800, 1), (incident, np.where(showers > 0.2, 1.1 * showers, 0)), train=draw(800, 3))
    verdict = lines(found)
    response = verdict["response|response: mean of E_tot/E_inc"]
    assert response.level == 3 and response.excess == pytest.approx(0.1, abs=0.02)
    assert verdict["separation|total energy over incident energy"].level == 3
    assert verdict["hits|mean number of hits"].level == 0


def test_copies_of_training_showers_are_seen_by_the_memorisation_share_alone(toy, draw):
    """Floors are made with every second training shower, and these are the others."""
    energies, showers = draw(1600, 3)
    found = judge(toy, draw(400, 1), (energies[1::2], showers[1::2]), train=(energies, showers))
    assert found["separation.e_tot"].value != found["separation.e_tot"].floor
    assert found["memorisation.share"].value > 0.99
    assert [line.name for line in evaluation.verdict(found) if line.level in (2, 3)] == ["memorisation.share"]


def test_floors_are_what_training_showers_give_in_place_of_generated_ones(toy, draw):
    reference, generated, train = draw(400, 1), draw(300, 2), draw(500, 3)
    found = judge(toy, reference, generated, train=train)
    evenly = tuple(part[np.arange(300) * 500 // 300] for part in train)
    floor = judge(toy, reference, evenly, train=train)
    for name in found:
        if name != "memorisation.share" and found[name].floor is not None:
            assert found[name].floor == floor[name].value
    assert found.inputs["floor"]["n_generated"] == 300


def test_without_training_showers_floors_are_those_of_halves_and_as_many_generated_showers_are_compared(toy, draw):
    (energies, showers), generated = draw(400, 1), draw(300, 2)
    found = judge(toy, (energies, showers), generated)
    assert found.inputs["floor"] == {"kind": "halves of the reference", "n_reference": 200, "n_generated": 200}
    half = (energies[::2], showers[::2])
    as_many = judge(toy, half, tuple(part[np.arange(200) * 300 // 200] for part in generated))
    for name, power in (("wasserstein.e_tot", 0.5), ("frobenius.layer", 0.5), ("kpd", 1.0)):
        one, excess = found[name], as_many[name].value ** (1 / power) - found[name].floor ** (1 / power)
        wanted = max(one.value ** (1 / power) - excess, 0.0) ** power
        assert one.more["floor_at_counts"] == pytest.approx(wanted, rel=0.02, abs=1e-12), name
    assert found["memorisation.share"].value is None and "training" in found["memorisation.share"].reason


@pytest.mark.parametrize("m", [120, 60])
def test_sparse_histograms_of_an_honest_generator_are_at_their_floor(toy, draw, m):
    """Many bins with few entries: their separation powers do not go as 1/N + 1/M."""
    pulls = []
    for seed in range(2):
        found = judge(toy, draw(120, 2 * seed), draw(m, 2 * seed + 1))
        for name in (f"separation.{family}.mean" for family in ("e_layer", "ec_eta", "ec_r", "width_r", "sparsity")):
            one = found[name]
            pulls.append((one.value - one.more["floor_at_counts"]) / one.more["excess_error"])
    assert abs(np.mean(pulls)) < 1.2
    assert np.abs(pulls).max() < 3


def test_a_training_file_sorted_by_energy_gives_the_same_floors(toy, draw):
    reference, generated, (energies, showers) = draw(300, 1), draw(100, 2), draw(900, 3)
    order = np.argsort(energies)
    found = judge(toy, reference, generated, train=(energies[order], showers[order]))
    other = judge(toy, reference, generated, train=(energies, showers))
    one, wanted = found["separation.e_layer.mean"], other["separation.e_layer.mean"]
    assert one.floor == pytest.approx(wanted.floor, abs=3 * np.hypot(one.more["floor_error"], wanted.error))
    assert not any("energies of the training" in sentence for sentence in found.warnings)


def test_training_showers_of_another_spectrum_and_copies_of_the_reference_are_said(toy, draw):
    reference, generated, (energies, showers) = draw(300, 1), draw(300, 2), draw(300, 3)
    low = energies < 5e3
    found = judge(toy, reference, generated, train=(energies[low], showers[low]))
    assert any("energies of the training showers differ" in sentence for sentence in found.warnings)
    found = judge(toy, reference, reference, train=reference)
    assert found.inputs["floor"]["kind"] == "halves of the reference"
    assert any("generated showers are copies of reference showers" in sentence for sentence in found.warnings)
    assert any("most training showers are copies" in sentence for sentence in found.warnings)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 50), (50, 1), (30, 7), (500, 60)])
def test_few_or_unequal_showers_give_numbers_or_reasons_and_never_nan(toy, draw, tmp_path, n, m):
    judge(toy, draw(n, 1), draw(m, 2), train=draw(5, 3), out=tmp_path)
    text = (tmp_path / "metrics.json").read_text()
    table = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in metrics.json"))
    assert table["schema"] == "calojax.metrics/1" and "small differences" in " ".join(table["warnings"])
    for name, entry in table["metrics"].items():
        assert {"value", "error", "floor", "n_reference", "n_generated"} <= set(entry), name
        assert entry["value"] is not None or entry["reason"], name
    assert table["metrics"]["separation.e_tot"]["n_generated"] == m


def test_empty_showers_and_a_single_energy_are_judged(toy):
    showers = np.zeros((60, toy.n_cells), np.float32)
    showers[10:, 5] = 900.0
    found = judge(toy, (np.full(60, 1e3), showers), (np.full(40, 1e3), showers[:40]))
    assert found["hits.0.mean"].value == pytest.approx(0.75)
    assert "response.1.mean" not in found
    assert any("have no hits" in sentence for sentence in found.warnings)


def test_cells_below_the_threshold_are_no_hits_and_say_nothing_of_correlations(toy, draw):
    energies, showers = draw(200, 2)
    found = judge(toy, draw(200, 1), (energies, np.full_like(showers, toy.threshold / 2)))
    assert found.inputs["inspection"]["generated"]["empty"] == 200
    correlations = [found[name] for name in found if name.startswith("correlation.")]
    assert {one.value for one in correlations} == {None}
    assert any("no cell varies" in one.reason for one in correlations)


def test_showers_that_are_not_finite_are_left_out_and_said(toy, draw):
    incident, showers = (part.copy() for part in draw(300, 2))
    showers[7, 3] = np.nan
    found = judge(toy, draw(300, 1), (incident, showers))
    assert found["separation.e_tot"].n_generated == 299
    assert any("1 of 300 generated showers" in sentence for sentence in found.warnings)


def test_defects_are_numbers_beside_the_warnings(toy, draw):
    train = draw(300, 3)
    incident, showers = (part.copy() for part in draw(300, 2))
    showers[7, 3] = np.nan
    showers[8, 3] = -1
    showers[9] = 0
    showers[20:24] = showers[19]
    showers[30:32] = train[1][:2]
    reference = draw(300, 1)
    found = judge(toy, reference, (incident, showers), train=train)
    inspected = found.inputs["inspection"]
    empty = [int(np.sum(x.max(axis=1) <= 0)) for x in (reference[1], showers)]
    defects = {"not_finite": 1, "negative": 1, "empty": empty[1], "duplicate": 4, "copied": 2}
    assert inspected["generated"] == {"read": 300} | defects | {"copied_reference": 0}
    assert inspected["reference"] == {"read": 300} | dict.fromkeys(defects, 0) | {"empty": empty[0]}
    assert "copied" not in inspected["train"]
    assert "2 of 300 generated showers are copies of training showers" in found.warnings
    assert 0 <= inspected["incident_energies"]["p_value"] <= 1


def test_one_bit_makes_another_shower(toy, draw):
    incident, showers = draw(50, 1)
    other = showers.copy()
    cell = np.argmax(showers, axis=1)
    rows = np.arange(50)
    other[rows, cell] = np.nextafter(showers[rows, cell], np.float32(np.inf))
    moved = np.where(np.arange(50)[:, None] % 2 == 0, np.roll(showers, 1, axis=1), other)
    assert evaluation.inspect((np.tile(incident, 2), np.concatenate([showers, moved])), toy).n_duplicate == 0
    assert evaluation.inspect((np.tile(incident, 2), np.concatenate([showers, showers])), toy).n_duplicate == 50


def test_another_spectrum_of_incident_energies_is_said(toy, draw):
    incident, showers = draw(1200, 2)
    low = incident < 1e4
    found = judge(toy, draw(600, 1), (incident[low], showers[low]))
    assert any("Kolmogorov" in sentence for sentence in found.warnings)


def test_cells_in_other_units_and_entries_outside_the_range_are_said(toy, draw):
    energies, showers = draw(200, 2)
    small = evaluation.judge(
        draw(200, 1),
        (energies, showers / 1000),
        dataclasses.replace(toy, threshold=1e-6),
        level="quick",
        progress=False,
    )
    assert any("cells, too, must be in MeV" in sentence for sentence in small.warnings)
    large = judge(toy, draw(200, 1), (energies, 2 * showers))
    (said,) = [sentence for sentence in large.warnings if "outside the range of a histogram" in sentence]
    assert "separation.e_tot (" in said
    assert not any("range of a histogram" in sentence for sentence in judge(toy, draw(200, 1), draw(200, 2)).warnings)


def test_one_dead_layer_is_named_in_the_verdict(toy, draw):
    energies, showers = draw(400, 2)
    dead = showers.copy()
    dead[:, toy.layer == 2] = 0
    lines = {line.title: line for line in evaluation.verdict(judge(toy, draw(400, 1), (energies, dead)))}
    worst = lines["any feature in any layer: the worst"]
    assert worst.name.endswith(".2") and worst.level == 3
    assert evaluation.summary(list(lines.values())).startswith(f"Of {len(lines)} lines: ")


def test_energies_in_other_units_are_said_in_one_sentence(toy, draw):
    incident, showers = draw(300, 2)
    for reference, generated, larger in (
        (draw(300, 1), (incident / 1000, showers / 1000), "reference"),
        ((incident / 1000, showers / 1000), draw(300, 1), "generated"),
    ):
        said = [sentence for sentence in judge(toy, reference, generated).warnings if "MeV" in sentence]
        assert len(said) == 1 and f"of the {larger} showers are" in said[0]


@pytest.mark.parametrize("kind", ["f2", ">f4", ">f8"])
def test_numbers_of_any_type_are_judged_as_what_they_are(toy, draw, kind):
    incident, showers = draw(300, 2)
    stored = np.minimum(showers, 6e4).astype(kind)  # sums of many of them are beyond the half floats
    found, expected = (judge(toy, draw(300, 1), (incident, s)) for s in (stored, stored.astype("f8")))
    values = {name: found[name].value for name in found if found[name].value is not None}
    assert values == pytest.approx({name: expected[name].value for name in values}, rel=1e-6)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda e, s: (e, s[:, :-1]), "120 cells"),
        (lambda e, s: (e[:-1], s), "energies for"),
        (lambda e, s: (e * 0, s), "row 0"),
        (lambda e, s: (e[:0], s[:0]), "at least one shower"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(toy, draw, tmp_path, spoil, words):
    with pytest.raises(InputError, match=words):
        judge(toy, draw(20, 1), spoil(*draw(20, 2)), out=tmp_path / "judged")
    assert not (tmp_path / "judged").exists()


def test_what_a_file_says_of_itself_goes_into_the_inputs(toy, draw, tmp_path):
    path = tmp_path / "generated.hdf5"
    with calochallenge.Writer(path, toy, {"seed": 7, "run": "first"}) as writer:
        writer.append(*draw(50, 2))
    found = judge(toy, draw(50, 1), path, out=tmp_path)
    given = evaluation.load_metrics(tmp_path).inputs["generated"]
    assert given == found.inputs["generated"]
    assert given["source"] == "generated.hdf5" and given["showers"] == 50
    assert given["attributes"]["seed"] == 7 and given["attributes"]["run"] == "first"
    assert "attributes" not in found.inputs["reference"]


def test_files_and_arrays_are_judged_alike(toy, draw, tmp_path):
    samples = draw(60, 1), draw(60, 2), draw(60, 3)
    paths = [tmp_path / f"{name}.hdf5" for name in ("reference", "generated", "train")]
    for path, one in zip(paths, samples, strict=True):
        with calochallenge.Writer(path, toy) as writer:
            writer.append(*one)
    from_arrays = judge(toy, *samples[:2], train=samples[2])
    from_files = judge(toy, *paths[:2], train=paths[2])
    assert from_files.to_table()["metrics"] == from_arrays.to_table()["metrics"]


def test_what_is_measured_in_a_bin_counts_the_showers_of_the_bin(toy, draw):
    reference, generated = draw(400, 1), draw(300, 2)
    found = judge(toy, reference, generated, train=draw(350, 3))
    edges = evaluation.energy_bins(reference[0]).edges
    for b in range(4):
        n = tuple(int(np.sum((one[0] >= edges[b]) & (one[0] < edges[b + 1]))) for one in (reference, generated))
        for name in ("separation_in_bin.{}.e_tot", "response.{}.mean", "hits.{}.width", "correlation.hits.z.{}"):
            one = found[name.format(b)]
            assert (one.n_reference, one.n_generated) == n
    assert found["separation.e_tot"].n_reference == 400


def test_every_separation_power_says_what_it_does_not_see(toy, draw):
    energies, showers = draw(200, 2)
    far = np.where(energies > 2e4, 3.0, 1.0)[:, None] * showers  # E_tot/E_inc of the upper bins beyond 1.5
    found = judge(toy, draw(200, 1), (energies, far.astype(np.float32)))
    for name in found:
        assert not name.startswith("separation") or {"outside_reference", "outside_generated"} <= set(found[name].more)
    outside = [found[f"separation_in_bin.{b}.e_tot"].more["outside_generated"] for b in range(4)]
    assert outside[0] < 0.05 and outside[3] == 1
    layers = [found[f"separation.e_layer.{i}"] for i in range(toy.n_layers)]
    mean, worst = found["separation.e_layer.mean"], max(layers, key=lambda one: one.value)
    shares = [one.more["outside_generated"] for one in layers]
    assert max(shares) > min(shares)
    assert mean.more["outside_generated"] == pytest.approx(np.mean(shares))
    assert found["separation.e_layer.max"].more["outside_generated"] == worst.more["outside_generated"]


def test_another_threshold_can_be_asked_for_on_the_command_line(tmp_path):
    g = geometry.load("ds2")
    path = tmp_path / "few.hdf5"
    with calochallenge.Writer(path, g) as writer:
        writer.append(np.full(5, 1e4), np.tile(np.linspace(0, 2, g.n_cells, dtype=np.float32), (5, 1)))
    out = tmp_path / "judged"
    arguments = [str(path), str(path), "--geometry", "ds2", "--threshold", "1", "--quick", "--out", str(out)]
    assert cli.main(["evaluate", *arguments]) == 0
    found = evaluation.load_metrics(out)
    assert found.inputs["geometry"]["threshold"] == 1
    assert found["hits.0.mean"].value == g.n_cells / 2
