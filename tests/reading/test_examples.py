"""What the net is trained with: strips of all kinds, where their digits are, and pictures without digits."""

import numpy as np

from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.reading.lines import line_of
from mnist_seq_cli.reading.training.examples import CALIBRATE, TRAIN, batches
from mnist_seq_cli.reading.training.no_digits import picture_without_digits


def test_examples_are_the_same_for_the_same_seed_and_of_different_glyphs() -> None:
    first, again, other = next(batches(3, 40)), next(batches(3, 40)), next(batches(4, 40, CALIBRATE))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert TRAIN[1] == CALIBRATE[0]
    assert first.lines.shape[0] == other.lines.shape[0] == 40
    assert (first.lengths == 0).any() or (other.lengths == 0).any()
    for examples in (first, other):
        places = np.arange(examples.digits.shape[1]) < examples.lengths[:, None]
        assert (examples.centres[places] < examples.lines.shape[2]).all()
        assert (np.diff(examples.centres, axis=1)[places[:, 1:]] >= 0).all()


def test_batches_are_of_all_lengths_and_of_lines_whose_ink_is_where_digits_are() -> None:
    lengths, near = [], []
    for _, examples in zip(range(8), batches(6, 96), strict=False):
        lengths += examples.lengths.tolist()
        for row, length in enumerate(examples.lengths.tolist()):
            ink = examples.lines[row].sum(axis=0, dtype=np.int64)
            for centre in examples.centres[row, :length].tolist():
                near.append(ink[max(0, round(centre) - 8) : round(centre) + 8].sum() > 0)
    assert {*range(13)} >= {*lengths} >= {0, 3, 4}
    assert max(lengths) > 5
    assert np.mean(near) > 0.99


def test_pictures_without_digits_are_of_many_kinds() -> None:
    rng = np.random.default_rng(3)
    shapes, readable = set(), 0
    for _ in range(300):
        picture = picture_without_digits(rng)
        assert (picture.ndim, picture.dtype) == (2, np.uint8)
        shapes.add(picture.shape)
        try:
            line_of(picture)
            readable += 1
        except CheckError:
            pass
    assert len(shapes) > 100
    assert readable > 150
