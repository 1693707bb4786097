"""What an error says."""

import pickle

from calojax.errors import InputError, missing_extra


def an_error():
    return InputError(where="a.hdf5, row 3", found="is NaN", rule="it must be finite", remedy="remove it")


def test_an_error_is_one_sentence_with_place_finding_rule_and_remedy():
    assert str(an_error()) == "a.hdf5, row 3: is NaN, but it must be finite; remove it"


def test_a_place_can_be_named_more_fully():
    assert str(an_error().inside("run 7")).startswith("run 7, a.hdf5, row 3: is NaN, but")


def test_an_error_survives_the_way_between_processes():
    assert str(pickle.loads(pickle.dumps(an_error()))) == str(an_error())


def test_a_missing_package_says_what_to_install():
    assert "pip install 'calojax[docs]'" in str(missing_extra("zensical", "docs"))
