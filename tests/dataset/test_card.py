"""The card of a dataset: right, made alike each time, and never in the place of somebody's own README.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asked import recipe_for
from forms import parameters

from mnist_seq_cli import formats
from mnist_seq_cli.codecs import png
from mnist_seq_cli.dataset import manifest
from mnist_seq_cli.dataset.build import build
from mnist_seq_cli.dataset.hub import card
from mnist_seq_cli.dataset.verify import verify
from mnist_seq_cli.engine import compose
from mnist_seq_cli.execution import serial
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.recipe.spec import Spec
from mnist_seq_cli.storage.memory import MemoryStore

Run = Callable[..., Any]
SOURCE = Source("train")
RECIPE = recipe_for(seed=3, length=4, max_gap=5)


def spec_of(form: str = "png", samples: int = 7, **fields: Any) -> Spec:
    return Spec(recipe=RECIPE, samples=samples, format=form, compression="fast", shard_size=4, **fields)


def built(spec: Spec, files: dict[str, bytes] | None = None) -> dict[str, bytes]:
    store = MemoryStore()
    store.files.update(files or {})
    build(store, spec, SOURCE, run=serial.run)
    assert list(verify(store)) == []
    return store.files


@pytest.mark.parametrize("form", parameters(formats.FORMAT_NAMES))
def test_the_pictures_of_a_card_are_the_first_strips(form: str) -> None:
    spec = spec_of(form)
    files = built(spec)
    first = compose.compose(RECIPE, bank.load(SOURCE), 0, 4)
    text = files["README.md"].decode()
    assert [text.count(label) > 0 for label in first.texts] == [True] * 4
    if "images/" in text or form == "folders":
        shown = [files[name] for name in formats.get(form).image_names(spec, range(4))]
        assert all(f"]({name})" in text for name in formats.get(form).image_names(spec, range(4)))
        np.testing.assert_array_equal([png.decode(content) for content in shown], first.images)
        assert card.PICTURE_NAME not in files
    else:
        assert f"]({card.PICTURE_NAME})" in text
        picture = png.decode(files[card.PICTURE_NAME]).reshape(4, RECIPE.height + 8, -1)
        np.testing.assert_array_equal(picture[:, 4:-4, 4:-4], first.images)


def test_somebodys_own_readme_is_kept_and_not_in_the_manifest() -> None:
    """It came before the card, or in its place; the dataset is sound, and grows."""
    mine = b"---\nlicense: mit\n---\n# My digits\n"
    files = built(spec_of())
    store = MemoryStore()
    own = {"README.md": mine, "croissant.json": b"{}"}
    store.files.update(files | own)
    assert [line.partition(":")[0] for line in verify(store)] == [*own]
    files = built(spec_of(), store.files)
    assert all(files[name] == own[name] and name.encode() not in files["manifest.json"] for name in own)
    files = built(spec_of(samples=9), files)
    assert files.items() >= own.items()
    card.remove(store, spec_of())
    assert store.files.items() >= own.items()
    for name in own:
        del files[name]
    del files["manifest.json"]
    assert built(spec_of(samples=9), files) == built(spec_of(samples=9))


def test_a_dataset_that_has_no_card_yet_is_sound_and_gets_one_when_it_grows() -> None:
    store = MemoryStore()
    store.files.update(built(spec_of("webdataset")))
    complete = manifest.read_manifest(store)
    assert complete is not None
    without = {name: total for name, total in complete.files.items() if name not in card.names(spec_of("webdataset"))}
    manifest.write_manifest(store, spec_of("webdataset"), complete.records.values(), without)
    card.remove(store, spec_of("webdataset"))
    before = dict(store.files)
    assert built(spec_of("webdataset"), store.files) == before
    assert built(spec_of("webdataset", 9), store.files) == built(spec_of("webdataset", 9))


def test_a_card_says_to_the_hub_what_it_wants_to_know() -> None:
    specs = {name: spec_of("webdataset", samples) for name, samples in (("train", 990), ("val", 9), ("a-b", 1))}
    text = card.render(specs)
    assert '\n  - split: validation\n    path:\n    - "val/*.tar"\n' in text
    assert '\n  - split: a_b\n    path:\n    - "a-b/*.tar"\n' in text
    assert "\nlicense: cc-by-sa-3.0\n" in text
    assert "\n- 1K<n<10K\n" in text
    sizes = {1: "n<1K", 999: "n<1K", 10_000: "10K<n<100K", 99_999_999: "10M<n<100M", 10**9: "1B<n<10B"}
    assert {samples: card._size_category(samples) for samples in sizes} == sizes
    assert len({*card._hub_names(["val", "validation", "a-b", "a_b"])}) == 4
    custom = Spec(recipe=recipe_for(seed=3), samples=1, format="npz", compression="fast", shard_size=4)
    object.__setattr__(custom.recipe, "source", "sha256:" + "0" * 64)
    text = card.render({"": custom})
    assert "license" not in text
    assert "MNIST" not in text
    assert "--source IMAGES" in text
    assert "Hugging Face has no loader for npz files" in text


def test_splits_have_a_card_together_whose_commands_make_them_again(mnistseq: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ("dataset", "--split", "train=3", "--split", "test=2", "--len", "3", "--seed", "4", "-o", out)
    assert mnistseq(*asked).code == 0
    text = (out / "README.md").read_text()
    assert text.startswith("---\n# Written by mnistseq")
    for line in text.partition("```sh\n")[2].partition("```")[0].splitlines():
        words = [str(tmp_path / word[3:]) if word.startswith("../") else word for word in line.split()[1:]]
        words[words.index("--recipe") + 1] = str(out / words[words.index("--recipe") + 1])
        assert mnistseq(*words).code == 0
    for name in ("train/labels.csv", "test/metadata.jsonl", "test/README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    (out / "README.md").write_text("mine")
    assert mnistseq(*asked).code == 0
    assert (out / "README.md").read_text() == "mine"
