"""Notebooks: samples, batches and datasets show what they are as pictures, and in one line of text."""

import io
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.samples.registry import open_samples

DATA = SequenceDataset(length="1-3", max_gap=4, seed=5, samples=1_000, masks=True, width="fit")


def shown(html: str) -> list[tuple[str, int, np.ndarray[Any, Any]]]:
    """The images of a page: the text beside each, the width that it is shown in, and its pixels."""
    found = re.findall(r'<img alt="([^"]+)" width="(\d+)" src="data:image/png;base64,([^"]+)"', html)
    return [(text, int(width), np.asarray(Image.open(io.BytesIO(b64decode(data))))) for text, width, data in found]


def test_a_sample_is_a_picture_with_its_label() -> None:
    sample = DATA[3]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sample._repr_png_() or b""))), sample.image)
    ((text, width, image),) = shown(sample._repr_html_() or "")
    assert (text, width) == (sample.label, 3 * sample.image.shape[1])
    np.testing.assert_array_equal(image, sample.image, strict=True)
    assert "image-rendering:pixelated" in (sample._repr_html_() or "")


def test_a_sample_is_an_array_too() -> None:
    sample = DATA[3]
    np.testing.assert_array_equal(np.asarray(sample), sample.image, strict=True)
    assert np.asarray(sample, dtype=np.float32).dtype == np.float32
    changed = np.array(sample)
    changed[:] = 7
    assert sample.image.max() == 255


def test_a_transformed_sample_is_what_the_transform_made_of_it() -> None:
    sample = SequenceDataset(length=2, seed=1, samples=9, transform=np.float64)[3]
    assert (sample._repr_png_(), sample._repr_html_()) == (None, None)
    assert np.asarray(sample).dtype == np.float64
    assert repr(sample) == f"Sample({sample.label}, number 3, float64 (28, 56))"
    thing = SequenceDataset(length=2, seed=1, samples=9, transform=lambda image: "thing")[3]
    assert repr(thing) == f"Sample({sample.label}, number 3, str)"


@pytest.mark.parametrize("invert", [False, True])
def test_datasets_and_batches_show_their_first_samples_as_they_are(invert: bool) -> None:
    data = SequenceDataset(length=2, seed=5, samples=1_000, invert=invert)
    for source, numbers in ((data, range(8)), (data[3:6], range(3, 6)), (data.batch([9, 4]), (9, 4)), (data[:0], ())):
        pages = shown(source._repr_html_())
        assert [text for text, _, _ in pages] == [data[number].label for number in numbers]
        for (_, _, image), number in zip(pages, numbers, strict=True):
            np.testing.assert_array_equal(image, data[number].image, strict=True)
    assert "SequenceDataset(1,000 samples of 56×28 px, seed=5, length=2" in data._repr_html_()


def test_a_page_is_bounded_however_large_its_strips_are() -> None:
    data = SequenceDataset(length=1_000, height=300, seed=5, samples=9)
    (page,) = shown(data._repr_html_())
    assert page[1] == 2 * 28_000


def test_stored_samples_are_shown_with_names_escaped_and_errors_in_a_line(tmp_path: Path) -> None:
    directory = tmp_path / "<b>&"
    assert main.run(["dataset", "-n", "20", "--len", "2", "--seed", "5", "-o", str(directory)]) == 0
    data = open_dataset(directory)
    assert "&lt;b&gt;&amp;: 20 samples" in data._repr_html_()
    assert len(shown(data._repr_html_())) == len(shown(open_samples(directory / "images/00000")._repr_html_())) == 8
    (directory / "images/00000/00000002.png").write_bytes(b"<script>")
    assert "00000002.png is not a sound PNG file" in data._repr_html_()
    assert "<script>" not in data._repr_html_()


def test_the_text_of_each_fits_a_line(tmp_path: Path) -> None:
    long = SequenceDataset(
        length=300,
        max_gap=9,
        slant="-20-20",
        paper="grain",
        noise=9,
        masks=False,
        seed=10**11,
        digits="1-9",
        repeat=True,
    )
    for value in (DATA, DATA[3], DATA.batch([3, 9, 4, 7]), DATA.batch(0, 0), long, long[3], open_samples(None)):
        assert len(repr(value)) <= 80
        assert repr(value).isprintable()
    assert repr(DATA[5:9]).startswith("SequenceDataset(4 samples of 92×28 px, seed=5, length=1-3, max_gap=4")
    assert repr(DATA[3]) == f"MaskedSample({DATA[3].label}, number 3, uint8 {DATA[3].image.shape})"
    assert repr(DATA.batch([3, 9, 4, 7])) == "Batch(4 samples: 3, 9, 4, …)"
    assert repr(DATA.batch(0, 0)) == "Batch(0 samples)"
