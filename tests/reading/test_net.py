"""The net in NumPy: what it is, that it is right, and that what is read does not depend on what is read beside it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_seq_cli.mnist.bank import NET_FILE, bundled_directory
from mnist_seq_cli.reading import net
from mnist_seq_cli.reading.lines import HEIGHT


def lines(*widths: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(sum(widths))
    return [np.where(rng.random((HEIGHT, width)) < 0.2, rng.integers(0, 256), 0).astype(np.uint8) for width in widths]


def test_the_net_is_as_small_as_it_shall_be() -> None:
    count = sum(weights.size + bias.size for weights, bias in net.bundled().layers)
    assert count <= 300_000
    assert (bundled_directory() / NET_FILE.name).stat().st_size <= 700_000
    assert len(net.bundled().layers) == len(net.LAYERS)
    assert net.bundled().layers[-1][0].shape[1] == 2 * net.CLASSES


def test_a_convolution_is_one() -> None:
    """Written out, for one place after the other."""
    rng = np.random.default_rng(1)
    layer = net.Layer(3, 5, 2, 1, 1, 2)
    values = rng.normal(size=(2, 9, 12, 4)).astype(np.float32)
    factors, bias = rng.normal(size=(3 * 5 * 4, 6)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    padded = np.pad(values, ((0, 0), (1, 1), (2, 2), (0, 0)))
    found = net._convolved(padded, layer, factors) + bias
    assert found.shape == (2, 5, 12, 6)
    for image, row, column in ((0, 0, 0), (1, 4, 11), (1, 2, 5)):
        window = padded[image, 2 * row : 2 * row + 3, column : column + 5].reshape(-1)
        np.testing.assert_allclose(found[image, row, column], window @ factors + bias, rtol=1e-4, atol=1e-4)


def test_chances_are_chances() -> None:
    for line, chances in zip(lines(20, 112, 250), net.bundled().chances_of(lines(20, 112, 250)), strict=True):
        assert chances.shape == (-(-line.shape[1] // net.PADDED) * net.PADDED // net.STEP, net.CLASSES)
        np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)


def test_what_is_read_does_not_depend_on_what_is_beside_it() -> None:
    many = lines(60, 112, 112, 33, 250, 112)
    together = net.bundled().chances_of(many)
    for line, chances in zip(many, together, strict=True):
        np.testing.assert_allclose(net.bundled().chances_of([line])[0], chances, atol=1e-5)


@pytest.mark.parametrize("width", [net._WINDOW + 1, 2 * net._WINDOW, 10_000])
def test_a_long_line_is_read_in_parts_as_if_in_one(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = lines(width)
    (parts,) = net.bundled().chances_of([line])
    monkeypatch.setattr(net, "_WINDOW", 20_000)
    (whole,) = net.bundled().chances_of([line])
    np.testing.assert_allclose(parts[: len(whole)], whole[: len(parts)], atol=1e-5)
    assert len(parts) >= width // net.STEP
