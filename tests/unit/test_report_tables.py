"""Lines of the report page in words: nothing that a reader must know is left out."""

import pytest

from geom2msm.report_tables import times_in_words

AGREE, NUMBERS = "agree with frame_interval_ps", "unusable: plain frame numbers"


def inventories(**times):
    return [{"trajectory": name.replace("_", "-"), "checks": {"times": said}} for name, said in times.items()]


def test_times_that_agree_everywhere_need_no_names():
    assert times_in_words(inventories(run_0=AGREE, run_1=AGREE)) == AGREE


@pytest.mark.parametrize("said", [NUMBERS, "none in this format", "one frame"])
def test_where_the_config_alone_counts_it_is_said(said):
    assert times_in_words(inventories(run_0=said)) == f"{said}; where they do not agree, the config alone counts"


def test_files_that_differ_are_named():
    words = times_in_words(inventories(run_0=AGREE, run_1=NUMBERS, run_2=AGREE))
    assert words.startswith(f"{AGREE} (2 of 3 files: run-0, run-2); {NUMBERS} (1 of 3 files: run-1); ")
    many = times_in_words(inventories(x=AGREE, **{f"run_{i}": NUMBERS for i in range(9)}))
    assert "(9 of 10 files: run-0, run-1, run-2, run-3, run-4, …)" in many
