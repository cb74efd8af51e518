"""The PyTorch side: what `mnist_seq_cli.torch` gives is what CTC, detectors and `inspect --predictions` take."""

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.errors import RequestError

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
ours: ModuleType = pytest.importorskip("mnist_seq_cli.torch")

DATA = SequenceDataset(length="2-5", max_gap=6, seed=3, samples=200, width="fit", slant="-9-9")


def half_ink(image: Any) -> Any:
    """A transform: float32 (1, height, width), from 0 to a half."""
    return ((255 - image[None]) / 510).astype(np.float32)


def assert_is_of(batch: Any, data: SequenceDataset, numbers: list[int], *, invert: bool = False) -> None:
    assert batch.numbers.tolist() == numbers
    assert batch.images.dtype == torch.float32
    assert batch.images.shape[3] == batch.widths.max()
    start = 0
    for row, number in enumerate(numbers):
        sample = data[number]
        height, width = sample.image.shape
        ink = sample.image / 255 if invert else 1 - sample.image / 255
        np.testing.assert_allclose(batch.images[row, 0, :height, :width], ink, atol=1e-6)
        assert batch.images[row, 0, :, width:].abs().sum() == 0
        assert (batch.widths[row], batch.target_lengths[row]) == (width, sample.length)
        assert batch.targets[start : start + sample.length].tolist() == ours.encode(sample.label).tolist()
        start += sample.length
    assert start == len(batch.targets)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_what_ctc_loss_takes(workers: int) -> None:
    loader = torch.utils.data.DataLoader(DATA, 32, shuffle=True, num_workers=workers, collate_fn=ours.collate)
    seen = []
    for batch in loader:
        assert_is_of(batch, DATA, batch.numbers.tolist())
        seen += batch.numbers.tolist()
        steps = 2 * batch.target_lengths
        loss = torch.nn.CTCLoss(blank=ours.BLANK)(
            torch.randn(12, len(batch.numbers), ours.CLASSES).log_softmax(2), batch.targets, steps, batch.target_lengths
        )
        assert loss.isfinite()
    assert sorted(seen) == list(range(200))


def looked_at(samples: Any) -> Any:
    """Collate, in a worker of a loader, with what people do to a batch there."""
    batch = ours.collate(samples)
    batch.images.mul_(2)
    images, *others = batch
    assert (len(batch), batch[1:], batch[0] is images) == (5, tuple(others), True)
    return batch


def replaced(samples: Any) -> Any:
    batch = ours.collate(samples)
    return batch._replace(images=batch.images * 2)


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("collate", [partial(ours.collate, padded=True, invert=True), looked_at, replaced])
def test_a_batch_from_a_worker_is_what_collate_returns_here(collate: Any, context: str) -> None:
    loader = torch.utils.data.DataLoader(
        DATA[:64], 32, num_workers=1, multiprocessing_context=context, collate_fn=collate
    )
    for start, batch in zip((0, 32), loader, strict=True):
        expected = collate(DATA.__getitems__(range(start, start + 32)))
        assert type(batch) is type(expected) is ours.CTCBatch
        for mine, theirs in zip(batch, expected, strict=True):
            assert (mine.dtype, mine.stride()) == (theirs.dtype, theirs.stride())
            assert torch.equal(mine, theirs)


def test_images_of_a_transform_are_stacked_as_they_are() -> None:
    data = SequenceDataset(length="2-5", seed=3, samples=40, transform=half_ink)
    (batch,) = torch.utils.data.DataLoader(data, 40, num_workers=1, collate_fn=ours.collate)
    plain = SequenceDataset(length="2-5", seed=3, samples=40)
    np.testing.assert_allclose(batch.images, np.stack([half_ink(sample.image) for sample in plain]))
    expected = ours.collate(plain.__getitems__(range(40)))
    for name in ("widths", "targets", "target_lengths", "numbers"):
        assert getattr(batch, name).tolist() == getattr(expected, name).tolist()
    (collated,) = torch.utils.data.DataLoader(data, 40)
    assert torch.equal(collated.image, batch.images)
    ragged = SequenceDataset(length="2-5", width="fit", seed=3, samples=40, transform=half_ink)
    with pytest.raises(RuntimeError, match="equal size"):
        ours.collate(ragged.__getitems__(range(40)))


def test_samples_one_by_one_and_subsets_collate_too() -> None:
    samples = [DATA[number] for number in (7, 3, 7)]
    assert_is_of(ours.collate(samples), DATA, [7, 3, 7])
    subset = torch.utils.data.Subset(DATA, range(50, 60))
    (batch,) = torch.utils.data.DataLoader(subset, 10, collate_fn=ours.collate)
    assert_is_of(batch, DATA, list(range(50, 60)))


def test_white_on_black_and_rows_of_targets() -> None:
    inverted = SequenceDataset(length="1-3", seed=3, samples=20, invert=True, width=100, align="left")
    batch = ours.collate(inverted[[1, 2]], invert=True)
    assert_is_of(batch, inverted, [1, 2], invert=True)
    one_by_one = ours.collate([inverted[1], inverted[2]], invert=True)
    torch.testing.assert_close(batch.images, one_by_one.images)
    rows = partial(ours.collate, padded=True)(DATA[[0, 1]]).targets
    for row, number in zip(rows, (0, 1), strict=True):
        length = DATA[number].length
        assert row[:length].tolist() == ours.encode(DATA[number].label).tolist()
        assert row[length:].tolist() == [ours.BLANK] * (rows.shape[1] - length)


@given(digits=st.lists(st.integers(0, 9), min_size=1, max_size=8), data=st.data())
def test_what_is_written_in_the_fewest_steps_is_decoded(digits: list[int], data: st.DataObject) -> None:
    path: list[int] = []
    for before, digit in zip([None, *digits], digits, strict=False):
        path += [ours.BLANK] * (digit == before) + [digit + 1]
    assert ours.min_steps(digits) == len(path)
    assert ours.min_steps("".join(map(str, digits))) == len(path)
    longer = [each for each in path for _ in range(data.draw(st.integers(1, 3)))]
    probabilities = torch.nn.functional.one_hot(torch.tensor([*longer, 5]), ours.CLASSES)[:, None].float()
    assert ours.greedy_decode(probabilities, torch.tensor([len(longer)])) == ["-".join(map(str, digits))]


def test_nothing_read_is_an_empty_sequence() -> None:
    assert ours.greedy_decode(torch.zeros(4, 2, ours.CLASSES)) == ["", ""]


def test_labels_that_a_net_cannot_write_are_named() -> None:
    data = SequenceDataset(sequences=["123", "1224"], seed=1)
    ours.check_steps(data, 5)
    with pytest.raises(RequestError, match=r"^sample 1, 1-2-2-4, takes 5 steps of CTC, and the net has 4"):
        ours.check_steps(data, 4)


def test_targets_of_detectors() -> None:
    data = SequenceDataset(length=3, min_gap=-6, seed=3, samples=20, masks=True)
    for sample in data:
        target = ours.detection_target(sample)
        assert target["labels"].tolist() == [digit + 1 for digit in sample.digits]
        assert target["image_id"].tolist() == [sample.number]
        assert (target["boxes"].dtype, target["labels"].dtype) == (torch.float32, torch.int64)
        for (left, top, right, bottom), box in zip(target["boxes"].tolist(), sample.boxes.tolist(), strict=True):
            assert [left, top, right - left, bottom - top] == box
        assert target["masks"].shape == (3, *sample.image.shape)
        for position, mask in enumerate(target["masks"], 1):
            assert (mask.numpy() == (sample.mask == position)).all()


def test_predictions_are_what_inspect_reads(tmp_path: Path, mnistseq: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert mnistseq("dataset", "-n", "30", "--len", "3", "--seed", "2", "-o", "out").code == 0
    data = SequenceDataset(length=3, seed=2, samples=30)
    labels = [sample.label for sample in data]
    Path("read.csv").write_text(ours.predictions(range(29, -1, -1), labels[::-1]))
    done = mnistseq("inspect", "out", "--predictions", "read.csv")
    assert (done.code, "30 of 30" in done.out or "100" in done.out) == (0, True), done.out
