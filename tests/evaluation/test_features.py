"""High-level features, against values of the challenge's public script."""

import tracemalloc

import numpy as np
import pytest

from calojax import evaluation, geometry
from calojax.evaluation import digest, histograms, inspection, sample
from calojax.files import calochallenge

# dataset, event, layer (position), moment, value of the public script in float64
PUBLIC = [
    ("ds2", 0, 0, "energy", 3274.718857545452),
    ("ds2", 0, 0, "ec_eta", -0.35809700286373874),
    ("ds2", 0, 0, "ec_phi", 3.2452971464062275),
    ("ds2", 0, 0, "width_eta", 11.368041161708396),
    ("ds2", 0, 0, "width_phi", 10.002611589077045),
    ("ds2", 0, 0, "ec_r", 12.552802503943532),
    ("ds2", 0, 0, "width_r", 9.075898566266384),
    ("ds2", 0, 0, "sparsity", 0.9027777777777778),
    ("ds2", 0, 10, "energy", 27331.293064228255),
    ("ds2", 0, 10, "ec_r", 15.315429731321135),
    ("ds2", 2, 0, "energy", 3181.440074330094),
    ("ds2", 2, 0, "ec_eta", 0.48668065938578264),
    ("ds2", 2, 0, "ec_phi", 4.98618319612283),
    ("ds2", 2, 0, "width_eta", 12.214538360317158),
    ("ds2", 2, 0, "width_phi", 12.247196576655082),
    ("ds2", 2, 0, "ec_r", 12.671503611470923),
    ("ds2", 2, 0, "width_r", 12.795336982545187),
    ("ds2", 2, 0, "sparsity", 0.8958333333333334),
    ("ds2", 2, 10, "energy", 43512.33517942333),
    ("ds3", 0, 10, "ec_eta", -0.2235621927153529),
    ("ds3", 0, 10, "width_r", 12.190795363838863),
    ("ds3", 2, 10, "ec_eta", 0.20862066447135044),
    ("ds3", 2, 10, "width_r", 12.167160320466575),
    ("ds1-photons", 0, 2, "ec_eta", 7.511772780217546),
    ("ds1-photons", 0, 2, "ec_phi", 14.066301091796854),
    ("ds1-photons", 2, 2, "width_r", 67.3202725058339),
    ("ds1-pions", 0, 5, "ec_eta", -4.834791060607049),
    ("ds1-pions", 0, 5, "ec_phi", 43.5652675271447),
    ("ds1-pions", 2, 5, "width_r", 280.7863459073029),
]
# dataset, totals in MeV and hits of the events 0 and 2
TOTALS = [
    ("ds2", (189298.69688900906, 230500.08362050948), (648, 648)),
    ("ds3", (2594794.604085868, 2590446.7588271974), (4049, 4050)),
    ("ds1-photons", (3604.1863700972, 4236.343988658144), (36, 37)),
    ("ds1-pions", (8274.325977755521, 8001.791286647183), (54, 53)),
]
# column of the feature vector of event 0 of dataset 2 with 200 GeV
VECTOR = {
    0: 5.301029995663981,
    1: 3.5151740207084505,
    46: -0.0035809700286373887,
    91: 0.03245297146406227,
    136: 0.11368041161708396,
    181: 0.10002611589077044,
    226: 5.277147624339622,
    227: 0.9027777777777778,
    272: 0.12552802503943533,
    317: 0.09075898566266384,
}


@pytest.mark.parametrize(("name", "event", "layer", "moment", "value"), PUBLIC)
def test_moments_are_those_of_the_public_script(array_k, name, event, layer, moment, value):
    moments = evaluation.layer_moments(array_k(name, event, event + 1), geometry.load(name))
    assert getattr(moments, moment)[0, layer] == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("name", "totals", "hits"), TOTALS)
def test_totals_and_hits_are_those_of_the_public_script(array_k, name, totals, hits):
    showers, g = array_k(name, 0, 3)[[0, 2]], geometry.load(name)
    assert evaluation.layer_moments(showers, g).energy.sum(axis=1) == pytest.approx(totals, rel=1e-12)
    assert tuple((showers >= g.threshold).sum(axis=1)) == hits


def test_the_feature_vector_is_that_of_the_public_script(array_k):
    features = evaluation.shower_features(array_k("ds2", 0, 500), np.full(500, 2e5), geometry.load("ds2"))
    assert features.shape == (500, 362)
    assert {column: features[0, column] for column in VECTOR} == pytest.approx(VECTOR, rel=1e-12)
    assert features.sum() == pytest.approx(115735.2156952594, rel=1e-12)


@pytest.mark.parametrize(("name", "columns"), [("ds1-photons", 30), ("ds1-pions", 46), ("ds2", 362), ("ds3", 362)])
def test_every_column_has_a_name(name, columns):
    g = geometry.load(name)
    names = evaluation.feature_names(g)
    assert len(names) == len(set(names)) == columns
    assert evaluation.shower_features(np.zeros((1, g.n_cells)), np.array([1e3]), g).shape == (1, columns)


def test_a_layer_with_one_hit_has_no_width(toy):
    showers = np.zeros((1, toy.n_cells), np.float32)
    showers[0, 3] = 17.3
    moments = evaluation.layer_moments(showers, toy)
    assert moments.width_eta[0, 0] == moments.width_phi[0, 0] == moments.width_r[0, 0] == 0
    assert moments.ec_r[0, 0] == pytest.approx(toy.r_mid[3])


def test_an_empty_layer_has_zeros_and_is_all_sparse(toy):
    moments = evaluation.layer_moments(np.zeros((2, toy.n_cells)), toy)
    assert np.all(moments.sparsity == 1)
    assert all(np.all(getattr(moments, name) == 0) for name in moments._fields if name != "sparsity")


def test_a_voxel_at_the_threshold_stays_and_one_below_goes(toy):
    showers = np.zeros((1, toy.n_cells))
    showers[0, :2] = toy.threshold, toy.threshold * 0.999
    assert evaluation.layer_moments(showers, toy).energy.sum() == toy.threshold
    assert evaluation.layer_moments(showers.astype(np.float32), toy).energy.sum() == pytest.approx(toy.threshold)


def test_both_precisions_of_the_same_showers_have_the_same_features(toy, draw):
    incident, showers = draw(50, 0)
    single = evaluation.shower_features(showers, incident, toy)
    assert np.array_equal(single, evaluation.shower_features(showers.astype(np.float64), incident, toy))


@pytest.fixture(scope="module")
def files(tmp_path_factory, toy, draw):
    """Files of 1,500 and 6,000 showers of the toy."""
    made = {}
    for n in (1500, 6000):
        made[n] = tmp_path_factory.mktemp("files") / f"{n}.hdf5"
        with calochallenge.Writer(made[n], toy) as writer:
            writer.append(*draw(n, 0))
    return made


def test_features_of_a_file_are_those_of_its_arrays_and_those_the_judge_makes(files, toy, draw):
    incident, showers = draw(1500, 0)
    found = evaluation.features_of(files[1500], toy)
    assert np.array_equal(found, evaluation.shower_features(showers, incident, toy))
    assert np.array_equal(found, evaluation.features_of((incident, showers), toy))
    read, inspected = inspection.read(files[1500], toy, name="reference")
    edges = histograms.log_edges(toy.threshold, inspected.maximum, 49)
    collected = sample.collect(read, toy, edges)
    judged = digest.Digest(digest.frame(collected, edges, toy), collected)
    assert np.array_equal(found, judged.features)


def test_memory_for_the_features_of_a_file_does_not_grow_with_it(files, toy):
    more = [peak(lambda path=path: evaluation.features_of(path, toy)) for path in files.values()]
    assert more[1] < 1.2 * more[0]


def peak(call):
    """Bytes that a call needs beyond what it gives."""
    tracemalloc.start()
    given = call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most - given.nbytes
