import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mnist_seq_cli
from mnist_seq_cli.engine.random_words import bounded_integers, words
from mnist_seq_cli.recipe.options.bounds import MAX_SAMPLES

PACKAGE = Path(mnist_seq_cli.__file__).parent
SEEDS = st.integers(0, 2**64 - 1)
PURPOSES = st.sampled_from(["digit", "glyph", "gap", "some purpose of later days", ""])
WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2**32, 2**64 - 1])
BOUNDS = st.integers(1, 2**32 - 1) | st.sampled_from([1, 2, 10, 2**16, 2**31, 2**31 + 1, 2**32 - 1])


def test_check_value_of_the_design() -> None:
    drawn = words(42, "gap", range(1), 4)
    assert drawn.dtype == np.uint64
    assert [f"{word:016x}" for word in drawn[0].tolist()] == [
        "e167c1248054b8e1",
        "75496bf1f0d6e8af",
        "6292ec44479493f8",
        "1e711930bf8ac561",
    ]


def test_shapes() -> None:
    assert words(1, "gap", range(5, 12), 3).shape == (7, 3)
    assert words(1, "gap", range(5, 5), 3).shape == (0, 3)
    assert words(1, "gap", range(5, 12), 0).shape == (7, 0)


@pytest.mark.parametrize("per_sample", range(1, 14))
def test_a_sample_owns_whole_blocks_of_four_words(per_sample: int) -> None:
    rounded = (per_sample + 3) // 4 * 4
    expected = words(9, "glyph", range(3, 20), rounded)[:, :per_sample]
    np.testing.assert_array_equal(words(9, "glyph", range(3, 20), per_sample), expected)


@given(
    seed=SEEDS,
    purpose=PURPOSES,
    first=st.integers(0, 10**8),
    count=st.integers(1, 40),
    per_sample=st.integers(1, 13),
    data=st.data(),
)
def test_any_sample_alone_is_its_row_of_a_run(
    seed: int, purpose: str, first: int, count: int, per_sample: int, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, count - 1), label="row")
    run = words(seed, purpose, range(first, first + count), per_sample)
    alone = words(seed, purpose, range(first + row, first + row + 1), per_sample)
    np.testing.assert_array_equal(alone[0], run[row])


def test_different_seeds_purposes_and_samples_share_no_word() -> None:
    streams = [
        words(seed, purpose, range(500), 4)
        for seed in (0, 1, 2, 10, 2**32, 2**64 - 1)
        for purpose in ("digit", "glyph", "gap", "Gap", "")
    ]
    together = np.concatenate(streams).ravel()
    # 60,000 words of 64 bits: the chance that two of them are equal is 1e-10.
    assert len(np.unique(together)) == len(together)


@given(pairs=st.lists(st.tuples(WORDS, BOUNDS), min_size=1, max_size=50))
def test_below_is_the_high_half_of_the_exact_product(pairs: list[tuple[int, int]]) -> None:
    drawn = np.array([word for word, _ in pairs], dtype=np.uint64)
    bounds = np.array([bound for _, bound in pairs], dtype=np.int64)
    chosen = bounded_integers(drawn, bounds)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == [word * bound >> 64 for word, bound in pairs]


@given(drawn=st.lists(WORDS, min_size=6, max_size=6), bound=BOUNDS)
def test_below_with_one_bound_for_all(drawn: list[int], bound: int) -> None:
    chosen = bounded_integers(np.array(drawn, dtype=np.uint64).reshape(2, 3), bound)
    assert chosen.shape == (2, 3)
    assert chosen.ravel().tolist() == [word * bound >> 64 for word in drawn]
    assert all(0 <= value < bound for value in chosen.ravel().tolist())


FIRST_WORDS = [
    (0x5555555555555556, 3, 1),
    (0xAAAAAAAAAAAAAAAB, 3, 2),
    (0x199999999999999A, 10, 1),
    (0xE666666666666667, 10, 9),
    (0x79435E50D79435E6, 19, 9),
    (0xFFFEE861363427DF, 60_000, 59_999),
    (0x7FFFFFFF00000002, 2**31 + 1, 2**30),
    (0x0000000100000006, 2**32 - 5, 1),
    (0x7FFFFFFF80000000, 2**32 - 1, 2**31 - 1),
    (0xFFFFFFFEFFFFFFFF, 2**32 - 1, 2**32 - 2),
]
"""The first word that gives a result for a bound: with the lower half of the product lost it would be a later one."""


@pytest.mark.parametrize(("word", "bound", "result"), FIRST_WORDS)
def test_each_result_begins_at_its_word(word: int, bound: int, result: int) -> None:
    random = np.array([word - 1, word], dtype=np.uint64)
    assert bounded_integers(random, bound).tolist() == [result - 1, result]
    assert bounded_integers(random, np.array([bound, bound])).tolist() == [result - 1, result]


def test_below_reaches_both_ends_and_leaves_its_input_alone() -> None:
    drawn = np.array([0, 2**64 - 1], dtype=np.uint64)
    drawn.flags.writeable = False
    for bound in (1, 2, 10, 2**32 - 1):
        assert bounded_integers(drawn, bound).tolist() == [0, bound - 1]


def test_below_takes_a_slice_of_words_as_it_is() -> None:
    drawn = words(5, "digit", range(100), 5)
    assert not drawn.flags.c_contiguous
    expected = [[word * 10 >> 64 for word in row] for row in drawn.tolist()]
    assert bounded_integers(drawn, 10).tolist() == expected


def forbidden_randomness(tree: ast.AST) -> list[str]:
    """Return what a module takes from Python's or NumPy's random numbers, other than `np.random.Philox`."""
    found, philox = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] == "random"]
            found += [name.name for name in node.names if name.name.startswith("numpy.random")]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            found += [origin] if origin.split(".")[0] == "random" or origin.startswith("numpy.random") else []
            found += [f"{origin}.{name.name}" for name in node.names if (origin, name.name) == ("numpy", "random")]
        elif isinstance(node, ast.Attribute) and node.attr == "Philox":
            philox.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("np.random", "numpy.random"):
            found += [] if id(node) in philox else [ast.unparse(node)]
    return found


def test_no_module_uses_generators_or_global_random_state() -> None:
    """But for the examples that the reader's net is trained with: no sample of a recipe comes from there."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "reading/training" not in path.parents]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    assert {path: found for path, tree in trees.items() if (found := forbidden_randomness(tree))} == {}
    attributes = {
        path.name: {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for path, tree in trees.items()
    }
    assert [name for name, used in attributes.items() if "Philox" in used] == ["random_words.py"]


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from random import randint",
        "import numpy.random as r",
        "from numpy import random",
        "from numpy.random import default_rng",
        "np.random.default_rng(1)",
        "np.random.seed(1)",
        "r = np.random",
        "np.random.Generator(np.random.Philox(1))",
    ],
)
def test_the_search_for_forbidden_randomness_finds_it(source: str) -> None:
    assert forbidden_randomness(ast.parse(source))


@given(
    seed=st.integers(0, 2**63 - 1),
    numbers=st.lists(st.integers(0, MAX_SAMPLES - 1), max_size=20),
    per_sample=st.integers(0, 9),
)
def test_any_samples_have_the_words_that_they_have_in_a_run(seed: int, numbers: list[int], per_sample: int) -> None:
    found = words(seed, "gap", np.array(numbers, dtype=np.int64), per_sample)
    assert (found.dtype, found.shape) == (np.uint64, (len(numbers), per_sample))
    for row, number in zip(found, numbers, strict=True):
        np.testing.assert_array_equal(row, words(seed, "gap", range(number, number + 1), per_sample)[0])
