"""The results of the CaloChallenge that stand beside ours: complete, and under the names of our metrics."""

import pytest

from calojax.evaluation.published import published
from calojax.report.comparison import COLUMNS

ON_DS1 = {"Geant4", "BoloGAN", "Calo-VQ", "CaloDiffusion", "CaloFlow student", "CaloFlow teacher", "CaloForest"}
ON_DS1 |= {"CaloGraph", "CaloINN", "CaloMan", "CaloVAE+INN"}
SCORES = {f"CaloScore{kind}" for kind in ("", " distilled", " single-shot")}


def test_every_submission_on_data_set_1_is_there():
    assert set(published("ds1-photons")) == ON_DS1 | SCORES | {"CaloShower2GAN", "CaloShower3GAN"}
    assert set(published("ds1-pions")) == ON_DS1 | {"CaloShowerGAN", "DNN CaloSim"}
    assert published("crystals-20x20") == {}


@pytest.mark.parametrize(("geometry", "n"), [("ds1-photons", 16), ("ds1-pions", 13), ("ds2", 18), ("ds3", 16)])
def test_numbers_stand_under_names_that_the_table_shows(geometry, n):
    rows = published(geometry)
    assert len(rows) == n
    for row in rows.values():
        assert {"classifier.low.auc", "classifier.high.auc", "fpd", "kpd", "separation.e_tot"} <= set(row)
        assert set(row) <= {name for _, name, _ in COLUMNS}
        for name, (value, error) in row.items():
            assert not name.endswith(".auc") or 0.49 < value <= 1
            assert error is None or error >= 0
    assert min(rows, key=lambda name: rows[name]["fpd"][0]) == "Geant4"  # simulation against itself
