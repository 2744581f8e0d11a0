"""Elements that the encoder never saw are refused by name, unless the config skips or replaces them."""

import numpy as np
import pytest

from geom2msm.encoder.unseen_elements import check_tokens_keep_atoms, encoded_numbers

KNOWN = (1, 6, 7, 8, 16)
NUMBERS = np.array([6, 34, 12, 8])
NAMES = ["MSE1-CG", "MSE1-SE", "MG2-MG", "HOH3-O"]


def encoded(overrides):
    return encoded_numbers(NUMBERS, NAMES, known=KNOWN, overrides=overrides, encoder="e").tolist()


def test_unseen_elements_are_refused_by_name():
    with pytest.raises(ValueError, match=r"not trained on Mg, Se, the elements of 2 atoms \(MSE1-SE, MG2-MG\)"):
        encoded({})
    with pytest.raises(ValueError, match=r"not trained on Se, the elements of 1 atoms \(MSE1-SE\)"):
        encoded({"Mg": "skip"})


def test_unseen_elements_are_skipped_or_replaced_where_the_config_says_so():
    assert encoded({"Se": "S", "Mg": "skip"}) == [6, 16, 0, 8]


def test_elements_that_the_encoder_knows_stay():
    assert encoded({"Se": "S", "Mg": "skip", "O": "skip"}) == [6, 16, 0, 8]


def test_an_override_must_name_elements():
    with pytest.raises(ValueError, match="'Xx' is no element's symbol"):
        encoded({"Xx": "skip"})
    with pytest.raises(ValueError, match="Mg is to be treated as Zn, which encoder e never saw either"):
        encoded({"Se": "S", "Mg": "Zn"})


def test_a_token_that_loses_all_atoms_is_refused():
    with pytest.raises(ValueError, match=r"skips all atoms of 1 token\(s\) \(MG2\)"):
        check_tokens_keep_atoms(np.array([6, 16, 0, 8]), np.array([0, 0, 1, 2]), ["MSE1", "MG2", "HOH3"])
    check_tokens_keep_atoms(np.array([6, 0, 12, 8]), np.array([0, 0, 1, 2]), ["MSE1", "MG2", "HOH3"])
