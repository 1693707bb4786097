"""The CaloChallenge geometries, and reading others from a binning XML."""

import numpy as np
import pytest

from calojax import geometry
from calojax.errors import InputError

# (cells, layers with more than one alpha bin, x and y of the first voxel of layer 1 in mm): public evaluation script
PUBLIC = {
    "ds1-photons": (368, [1, 2], (-0.9510565162951535, -0.3090169943749475)),
    "ds1-pions": (533, [1, 2, 12, 13], (-0.47552825814757677, -0.15450849718747375)),
    "ds2": (6480, list(range(45)), (-2.2803257769375107, -0.4535849986874991)),
    "ds3": (40500, list(range(45)), (-1.1602060717978657, -0.07299397895282704)),
}

XML = """<Bins>
  <Bin pid="22" name="photon" etaMin="0" etaMax="130">
    <Layer id="0" r_edges="0,5,10" n_bin_alpha="1"/>
    <Layer id="1" r_edges="0, 2, 4, 8" n_bin_alpha="10"/>
    <Layer id="4" r_edges="0" n_bin_alpha="1"/>
    <Layer id="12" r_edges="0,100" n_bin_alpha="1"/>
  </Bin>
  <Bin pid="11" name="electron" etaMin="0" etaMax="20"><Layer id="0" r_edges="0,1" n_bin_alpha="2"/></Bin>
  <Bin pid="11" name="electron" etaMin="20" etaMax="40"><Layer id="0" r_edges="0,3" n_bin_alpha="2"/></Bin>
</Bins>"""


@pytest.fixture
def binning(tmp_path):
    path = tmp_path / "binning.xml"
    path.write_text(XML)
    return path


@pytest.mark.parametrize("name", PUBLIC)
def test_built_in_geometries_are_those_of_the_public_script(name):
    cells, in_alpha, first = PUBLIC[name]
    cylinder = geometry.load(name)
    assert cylinder.n_cells == cells
    assert [layer.id for layer in cylinder.layers if layer.n_alpha > 1] == in_alpha
    np.testing.assert_allclose(cylinder.centres[cylinder.layer_offsets[1], :2], first, rtol=1e-14)


@pytest.mark.parametrize("name", ["ds2", "ds3"])
def test_data_sets_2_and_3_are_153_mm_deep_and_41_85_mm_wide(name):
    cylinder = geometry.load(name)
    assert cylinder.layers[-1].z_max == 153.0
    assert {layer.r_edges[-1] for layer in cylinder.layers} == {41.85}
    assert cylinder.threshold == pytest.approx(0.0151515, abs=1e-7)


def test_a_particle_is_read_from_a_binning_xml_by_name(binning):
    cylinder = geometry.load(f"{binning}:photon")
    assert [layer.id for layer in cylinder.layers] == [0, 1, 12]  # the layer with one edge has no cells
    assert cylinder.n_cells == 2 + 30 + 1
    assert cylinder.layers[1].r_edges == (0.0, 2.0, 4.0, 8.0)


def test_one_of_several_ranges_is_chosen_by_pseudorapidity(binning):
    cylinder = geometry.read_binning(binning, "electron", eta=25)
    assert cylinder.layers[0].r_edges == (0.0, 3.0)


def test_the_only_particle_of_a_file_need_not_be_named(tmp_path):
    path = tmp_path / "one.xml"
    path.write_text('<Bins><Bin name="pion"><Layer id="0" r_edges="0,1" n_bin_alpha="3"/></Bin></Bins>')
    assert geometry.load(path).n_cells == 3


BAD = {
    "not XML": ("<Bins><Bin", "cannot be read"),
    "foreign": ("<html/>", "no Bins/Bin"),
    "empty": ("", "cannot be read"),
    "no cells": ('<Bins><Bin name="p"><Layer id="0" r_edges="0" n_bin_alpha="1"/></Bin></Bins>', "has no layers"),
    "words": (
        '<Bins><Bin name="p"><Layer id="0" r_edges="0,x" n_bin_alpha="1"/></Bin></Bins>',
        "layer 0: cannot be read",
    ),
    "no id": ('<Bins><Bin name="p"><Layer r_edges="0,1" n_bin_alpha="1"/></Bin></Bins>', "layer None"),
    "falling": ('<Bins><Bin name="p"><Layer id="3" r_edges="0,2,1" n_bin_alpha="1"/></Bin></Bins>', "layer 3, r_edges"),
    "no alpha": ('<Bins><Bin name="p"><Layer id="3" r_edges="0,2" n_bin_alpha="0"/></Bin></Bins>', "layer 3, n_alpha"),
    "several": (XML, "one particle is needed"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_binning_is_refused_by_name(tmp_path, case):
    content, said = BAD[case]
    path = tmp_path / "bad.xml"
    path.write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        geometry.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ds4", "the names are ds1-photons"),
        ("missing.xml", "cannot be read"),
        ("{binning}:muon", "it holds photon, electron"),
        ("{binning}:electron", "has 2 bins"),
    ],
)
def test_what_cannot_be_found_is_refused_with_what_there_is(binning, name, said):
    with pytest.raises(InputError, match=said):
        geometry.load(name.format(binning=binning))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_binning_xml_of_a_built_in_geometry_is_that_geometry(tmp_path, name):
    layers = geometry.load(name).layers
    lines = [
        f'<Layer id="{x.id}" r_edges="{",".join(map(repr, x.r_edges))}" n_bin_alpha="{x.n_alpha}"/>' for x in layers
    ]
    path = tmp_path / "mine.xml"
    path.write_text(f'<Bins><Bin pid="1" name="p">{"".join(lines)}</Bin></Bins>')
    assert geometry.load(path) == geometry.load(name) == geometry.load(geometry.load(name))
    assert geometry.known_as(geometry.read_binning(path)) == name
    path.write_text(path.read_text().replace('id="0"', 'id="5000"', 1))
    assert geometry.known_as(geometry.load(path)) is None and geometry.load(path).name == "mine:p"
    assert geometry.known_as(geometry.load("crystals-20x20")) is None
