"""Estimates: what is said before anything is written, held against what is written then."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ended import Outcome
from faulty import tree
from forms import form, parameters

from mnist_seq_cli.dataset.estimate import estimate
from mnist_seq_cli.dataset.manifest import require_spec
from mnist_seq_cli.formats import FORMAT_NAMES
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.plan import Slice

Run = Callable[..., Outcome]

ASKED = ("dataset", "-n", "430", "--len", "3", "--seed", "5", "--shard-size", "100")


@pytest.mark.parametrize("name", parameters([*FORMAT_NAMES, "png --masks"]))
def test_it_is_near_what_a_dataset_takes(name: str, tmp_path: Path, mnistseq: Run) -> None:
    out = tmp_path / "out"
    code, stdout, err = mnistseq(*ASKED, *form(name), "-o", out, "--dry-run", "--workers", "2")
    assert (code, stdout, list(tmp_path.iterdir())) == (0, "", [])
    assert f"{out}: 430 strips, 84×28 px, as {name.partition(' ')[0]}, about\n5 shards, " in err
    assert " with 2 processes here, of " in err
    assert err.endswith("this was a dry run: nothing is written\n")
    assert mnistseq(*ASKED, *form(name), "-o", out).code == 0
    before = tree(out)
    spec = require_spec(out)
    found = estimate(out, spec, Source("train"))
    files = [content for content in before.values() if isinstance(content, bytes)]
    assert (found.samples, found.shards, found.files) == (430, 5, len(files))
    # lmdb has pages of 4 kB, and torchmeta something for each class, of which more samples have fewer new ones
    near = {"lmdb": 0.1, "torchmeta": 0.06}.get(name, 0.03)
    assert found.bytes == pytest.approx(sum(map(len, files)), rel=near)
    assert found.stored >= found.bytes
    part = estimate(out, spec, Source("train"), part=Slice(1, 5))
    assert (part.samples, part.shards) == (100, 1)
    assert tree(out) == before


def test_what_it_is_not_for_is_refused(mnistseq: Run, tmp_path: Path) -> None:
    for arguments, problem in (
        (("--split", "a=7", "-o", tmp_path / "out"), "--dry-run does not go with --split"),
        (("-n", "7", "-o", "-"), "--dry-run does not go with stdout"),
        (("-n", "7", "-o", __file__), "is not a directory"),
    ):
        code, stdout, err = mnistseq("dataset", "--len", "2", *arguments, "--dry-run")
        assert (code, stdout, err.count("\n")) == (2, "", 1)
        assert problem in err
