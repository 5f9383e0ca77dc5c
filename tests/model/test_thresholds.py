"""Thresholds mapped from one score to another by quantiles."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmod_model.__main__ import main
from textmod_model.training import thresholds
from textmod_model.training.dataset import DatasetError
from textmod_model.training.thresholds import Pairs

scores = st.floats(0, 1).map(lambda value: round(value, 2))


def write(folder, text):
    path = folder / "both.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_score_that_only_looks_different_is_mapped_exactly():
    old = np.arange(1, 1000) / 1000
    found = thresholds.mapped(Pairs(old, old**2), 0.8)
    assert found.new == pytest.approx(0.8**2, abs=0.001)
    assert (found.flagged_before, found.flagged_after, found.dropped, found.added) == (200,) * 2 + (
        0,
        0,
    )
    assert found.low < found.new < found.high
    assert found.hint == ""


@given(st.lists(st.tuples(scores, scores), min_size=1), st.lists(scores, min_size=2, max_size=2))
def test_a_higher_threshold_never_has_a_lower_one(rows, asked):
    columns = np.array(rows)
    pairs = Pairs(columns[:, 0], columns[:, 1])
    below, above = (thresholds.mapped(pairs, old) for old in sorted(asked))
    if above.new is not None:
        assert below.new <= above.new
    if below.new is not None:
        assert 0 <= below.low <= below.new <= below.high <= 1


@given(st.lists(st.tuples(scores, scores), min_size=1), scores)
def test_as_many_texts_are_flagged_as_equal_scores_allow(rows, old):
    columns = np.array(rows)
    found = thresholds.mapped(Pairs(columns[:, 0], columns[:, 1]), old)
    if found.new is None:
        assert (columns[:, 0] < old).all()
        return
    possible = [int((columns[:, 1] >= value).sum()) for value in {*columns[:, 1]}]
    nearest = min(abs(count - found.flagged_before) for count in possible)
    assert abs(found.flagged_after - found.flagged_before) == nearest


def test_the_range_holds_the_right_threshold_in_95_of_100_recordings():
    """Two noisy scores of one hidden value; the right threshold is that of very many texts."""
    random = np.random.default_rng(7)

    def recorded(texts):
        hidden = random.normal(size=texts)
        old, new = (hidden + 0.7 * random.normal(size=texts) for _ in range(2))
        return Pairs(1 / (1 + np.exp(-old)), 1 / (1 + np.exp(-2 * new - 1)))

    truth = thresholds.mapped(recorded(1_000_000), 0.8).new
    found = [thresholds.mapped(recorded(2_000), 0.8) for _ in range(400)]
    held = sum(one.low <= truth <= one.high for one in found)
    assert 0.92 <= held / 400 <= 0.99


@pytest.mark.parametrize(
    ("old", "hint"), [(0.99, "no text reached 0.99"), (0.9, "only 5 texts reached 0.9")]
)
def test_few_texts_are_said(old, hint):
    pairs = Pairs(np.array([0.1] * 95 + [0.9] * 5), np.linspace(0, 1, 100))
    assert thresholds.mapped(pairs, old).hint.startswith(hint)


def test_scores_that_have_nothing_in_common_are_said():
    old = np.linspace(0, 1, 1000)
    hint = thresholds.mapped(Pairs(old, old[::-1].copy()), 0.8).hint
    assert hint.startswith("the two scores disagree")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: give a CSV file with a header row"),
        ("a,ours\n1,1\n", "no column 'perspective'; it has a, ours"),
        ("perspective,ours\n0.1,0.1\n0.1,x\n", "line 3: 'x' is not a score from 0 to 1"),
        ("perspective,ours,ours\n0.1,0.1,0.9\n", "has 2 columns named ours"),
        ("perspective,ours\n0.1,nan\n", "line 2: 'nan' is not a score"),
        ("perspective,ours\n0.1,\n", "no line with both scores"),
        (b"perspective,ours\n\xff,1\n", "line 2: 'ÿ' is not a score"),
        ("perspective,ours\n0.1,0.1\n0.1\n", "line 3: 1 fields, the header has 2"),
    ],
)
def test_what_is_damaged_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        thresholds.read(write(tmp_path, text), "perspective", "ours")


def test_scores_are_read_from_the_files_that_texts_are_read_from(tmp_path):
    line = '{"perspective": 0.5, "ours": 0.25}\n'
    for name, text in (("s.csv", "perspective;ours\n0.5;0.25\n"), ("s.jsonl", line)):
        (tmp_path / name).write_text(text)
        pairs = thresholds.read(tmp_path / name, "perspective", "ours")
        assert (pairs.old.tolist(), pairs.new.tolist()) == ([0.5], [0.25])


@pytest.mark.parametrize("tied", [2 / 3, 0.00001, 0.99999])
def test_the_printed_threshold_flags_what_the_exact_one_does(tied):
    pairs = Pairs(np.array([0.9] * 50 + [0.1] * 50), np.array([tied] * 60 + [tied / 2] * 40))
    found = thresholds.mapped(pairs, 0.8)
    row = thresholds.table(pairs, [found], "old", "new").splitlines()[3]
    assert (pairs.new >= float(row.split()[1])).sum() == found.flagged_after == 60


def test_the_command_prints_a_table_or_json(tmp_path, capsys):
    rows = "".join(f"{n / 1000},{math.sqrt(n / 1000)}\n" for n in range(1, 1001))
    path = str(write(tmp_path, "\ufeffperspective,mine\n" + rows + "\n0.5,\n"))
    arguments = ["thresholds", path, "--to", "mine", "--threshold", "0.81"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "1000 texts, 1 lines with one score left out."
    assert printed[3].split()[:2] == ["0.81", "0.8997"]
    assert main([*arguments, "--threshold", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["old"] for one in found["thresholds"]] == [0.81, 1.0]
    assert main(["thresholds", path, "--threshold", "0.5"]) == 1
    assert "no column 'ours'" in capsys.readouterr().err
