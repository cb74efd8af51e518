"""Owns the PyTorch side: batches as tensors, CTC targets and decoding, and targets for detectors.

Nothing else imports it; it needs PyTorch: `pip install 'mnistseq[torch]'`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from mnist_seq_cli.engine.batch import ABSENT, Batch, Sample
from mnist_seq_cli.engine.random_words import as_array
from mnist_seq_cli.errors import RequestError
from mnist_seq_cli.recipe.options.notation import format_sequence, parse_sequence
from mnist_seq_cli.samples.recipe_samples import RecipeSamples

BLANK = 0
"""The class of CTC's blank; digit d is class d + 1 (`encode`)."""

CLASSES = 11
"""The blank and ten digits."""


class CTCBatch(NamedTuple):
    """The input of a CTC network and of `torch.nn.CTCLoss`.

    `images` float32 (n, 1, height, width), ink 1 on background 0, padded on the right; `widths` int64 (n,), of each
    image in px; `targets` int64, the classes of all sequences one after the other, (sum of lengths,), or (n, longest)
    padded with the blank; `target_lengths` int64 (n,); `numbers` int64 (n,), of the samples.
    """

    images: torch.Tensor
    widths: torch.Tensor
    targets: torch.Tensor
    target_lengths: torch.Tensor
    numbers: torch.Tensor


def collate(samples: Batch | Sequence[Sample], *, invert: bool = False, padded: bool = False) -> CTCBatch:
    """Return a batch as tensors: the `collate_fn` for `torch.utils.data.DataLoader`.

    `invert` is for images with white ink on black, as made with the option of that name; `padded` gives targets in
    rows. Use `functools.partial` to set them. Arrays and tensors from a `transform` are stacked as they are.
    """
    transformed = None
    if not isinstance(samples, Batch) and not all(_is_strip(sample.image) for sample in samples):
        transformed = torch.stack([torch.as_tensor(sample.image) for sample in samples])
        strip = np.empty((0, transformed.shape[-1]), dtype=np.uint8)
        samples = [sample._replace(image=strip) for sample in samples]
    batch = samples if isinstance(samples, Batch) else _joined(samples, 0 if invert else 255)
    images: NDArray[np.uint8] | torch.Tensor | None = transformed
    if images is None:
        images = np.ascontiguousarray(batch.images[:, :, : int(batch.widths.max(initial=1))])
    known = (images, batch.widths, batch.digits, batch.lengths, as_array(batch.samples), invert, padded)
    return _tensors(*known) if get_worker_info() is None else cast("CTCBatch", _OnItsWay(known))


def _tensors(
    images: NDArray[np.uint8] | torch.Tensor,
    widths: NDArray[np.int32],
    digits: NDArray[np.uint8],
    lengths: NDArray[np.int32],
    numbers: NDArray[np.int64],
    invert: bool,
    padded: bool,
) -> CTCBatch:
    """Return a batch; images that already are a tensor stay as they are."""
    if not isinstance(images, torch.Tensor):  # in NumPy: each call of PyTorch takes 10 µs and more between batches
        levels = np.divide(images, np.float32(255), dtype=np.float32)[:, None]
        images = torch.from_numpy(levels if invert else np.subtract(1, levels, out=levels))
    classes, counts = digits.astype(np.int64) + 1, lengths.astype(np.int64)
    written = np.arange(classes.shape[1]) < counts[:, None]
    targets = np.where(written, classes, BLANK) if padded else classes[written]
    arrays = (widths.astype(np.int64), targets, counts, numbers)
    return CTCBatch(images, *map(torch.from_numpy, arrays))


class _OnItsWay:
    """A batch in the worker of a loader, which becomes a CTCBatch on arrival, or before that on first access.

    Sending a tensor to another process takes a file and a connection, and floats are four times as large: that would
    cost as much time as the worker saves.
    """

    def __init__(self, known: tuple[Any, ...]) -> None:
        self.known = known

    def __reduce__(self) -> tuple[Any, ...]:
        return (CTCBatch, tuple(self._batch)) if "_batch" in vars(self) else (_tensors, self.known)

    @cached_property
    def _batch(self) -> CTCBatch:
        return _tensors(*self.known)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __getitem__(self, field: int | slice) -> Any:
        return self._batch[field]

    def __len__(self) -> int:
        return len(CTCBatch._fields)


def _is_strip(image: Any) -> bool:
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 2


def _joined(samples: Sequence[Sample], background: int) -> Batch:
    """Return samples as a batch; narrow images are padded with background on the right."""
    count, longest = len(samples), max(sample.length for sample in samples)
    height, width = (max(sample.image.shape[axis] for sample in samples) for axis in (0, 1))
    images = np.full((count, height, width), background, dtype=np.uint8)
    digits, ids = np.zeros((count, longest), dtype=np.uint8), np.full((count, longest), ABSENT, dtype=np.int32)
    for row, sample in enumerate(samples):
        images[row, : sample.image.shape[0], : sample.image.shape[1]] = sample.image
        digits[row, : sample.length] = sample.digits[: sample.length]
    lengths, widths, numbers = (
        np.array(values) for values in zip(*[(s.length, s.image.shape[1], s.number) for s in samples], strict=True)
    )
    boxes = np.repeat(ids[:, :, None], 4, axis=2)
    known = (digits, lengths.astype(np.int32), ids, ids, ids, boxes, widths.astype(np.int32))
    return Batch(int(numbers[0]), *known, images, chosen=numbers.astype(np.int64))


def encode(digits: str | Iterable[int]) -> torch.Tensor:
    """Return the classes of a sequence, `1-2-3`, `123` or integers: int64 (length,). Raises RequestError."""
    return torch.tensor([digit + 1 for digit in _parsed(digits)], dtype=torch.int64)


def _parsed(digits: str | Iterable[int]) -> tuple[int, ...]:
    return parse_sequence(digits) if isinstance(digits, str) else tuple(digits)


def greedy_decode(log_probs: torch.Tensor, lengths: torch.Tensor | None = None) -> list[str]:
    """Return the sequences, `1-2-3`, that a CTC network predicts: the best class of each step, collapsed.

    `log_probs` (steps, n, 11), as for `torch.nn.CTCLoss`; `lengths` (n,), the valid steps of each. Best path decoding:
    Graves et al., "Connectionist temporal classification", ICML 2006, section 3.2.
    """
    best = log_probs.argmax(dim=2).T.tolist()
    steps = [len(log_probs)] * len(best) if lengths is None else lengths.tolist()
    return [format_sequence(_collapsed(row[:count])) for row, count in zip(best, steps, strict=True)]


def _collapsed(classes: list[int]) -> list[int]:
    return [now - 1 for before, now in pairwise([BLANK, *classes]) if now not in (BLANK, before)]


def min_steps(digits: str | Iterable[int]) -> int:
    """Return the fewest steps in which CTC can produce a sequence: one per digit, and a blank between equal ones."""
    written = _parsed(digits)
    return len(written) + sum(one == other for one, other in pairwise(written))


def check_steps(data: RecipeSamples, steps: int) -> None:
    """Raise RequestError if a network of so many steps cannot produce all labels, with the first that it cannot."""
    for batch in data.stream():
        for sample in batch:
            if (needed := min_steps(sample.label)) > steps:
                raise RequestError(
                    f"sample {sample.number}, {sample.label}, takes {needed} steps of CTC, and the net has {steps}",
                    hint="give it more columns",
                )


def detection_target(sample: Sample) -> dict[str, torch.Tensor]:
    """Return a sample as a target for torchvision's detectors.

    `boxes` float32 (n, 4), of the ink: left, top, right and bottom in px; `labels` int64 (n,), digit + 1, as 0 is the
    background; `image_id` int64 (1,); and with masks `masks` uint8 (n, height, width). Digits without ink have no box,
    and are left out.
    """
    boxes = sample.boxes[: sample.length]
    seen = np.flatnonzero((boxes[:, 2:] > 0).all(axis=1))
    x, y, width, height = boxes[seen].T
    target: dict[str, Any] = {
        "boxes": torch.from_numpy(np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)),
        "labels": torch.from_numpy(sample.digits[seen].astype(np.int64) + 1),
        "image_id": torch.tensor([sample.number]),
    }
    if (mask := getattr(sample, "mask", None)) is not None:
        target["masks"] = torch.from_numpy((mask == seen[:, None, None] + 1).astype(np.uint8))
    return target


def predictions(numbers: Iterable[int], sequences: Iterable[str]) -> str:
    """Return CSV for `mnistseq inspect --predictions`, with the number and the predicted sequence of each sample."""
    rows = (f"{number},{sequence}\n" for number, sequence in zip(numbers, sequences, strict=True))
    return "number,prediction\n" + "".join(rows)
