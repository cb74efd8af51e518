"""Owns the net of the reader in PyTorch: what `reading.net` runs, with batch normalisation, its loss, and its file."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
import torch
from torch import nn

from mnist_seq_cli.reading.net import CLASSES, LAYERS, STEP

CHANNELS = (16, 32, 64, 192, 64, 2 * CLASSES)
"""Channels that each layer gives."""


def new_net() -> nn.Sequential:
    """Return the net with weights at random: float32 (n, 1, HEIGHT, width) to (n, 2 * CLASSES, 1, width / 4)."""
    parts: list[nn.Module] = []
    before = 1
    for number, (layer, channels) in enumerate(zip(LAYERS, CHANNELS, strict=True)):
        last = number == len(LAYERS) - 1
        steps, padding = (layer.step_down, layer.step_across), (layer.above, layer.beside)
        parts.append(nn.Conv2d(before, channels, (layer.rows, layer.columns), steps, padding, bias=last))
        if not last:
            parts += [nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*parts).to(memory_format=torch.channels_last)


def log_chances(net: nn.Module, lines: torch.Tensor) -> torch.Tensor:
    """Return log chances, float32 (n, width / STEP, CLASSES), for lines, uint8 (n, HEIGHT, width)."""
    images = (lines.float() / 255)[:, None].contiguous(memory_format=torch.channels_last)
    out = net(images)[:, :, 0].float()  # which convolutions in bfloat16 do not give
    count, _, columns = out.shape
    return out.permute(0, 2, 1).reshape(count, 2 * columns, CLASSES).log_softmax(2)


def loss_of(chances: torch.Tensor, digits: torch.Tensor, centres: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the loss of `log_chances`, a digit: CTC, and half as much a cross-entropy of columns.

    For the latter, the column in which a digit is centred shows it, those beside may, and all others are blank.
    """
    count, columns, _ = chances.shape
    steps = torch.full((count,), columns)
    ctc = nn.functional.ctc_loss(
        chances.transpose(0, 1), digits.long() + 1, steps, lengths, reduction="sum", zero_infinity=True
    )
    row, place = torch.nonzero(torch.arange(digits.shape[1]) < lengths[:, None], as_tuple=True)
    middle = (centres[row, place] / STEP).long()
    wanted = torch.zeros((count, columns + 2), dtype=torch.long)
    for beside in (0, 2):
        wanted[row, middle + beside] = -100
    wanted[row, middle + 1] = digits[row, place].long() + 1
    column = nn.functional.cross_entropy(
        chances.reshape(-1, CLASSES), wanted[:, 1:-1].reshape(-1), reduction="sum", ignore_index=-100
    )
    return (ctc + 0.5 * column) / (lengths.sum() + count)


def save(net: nn.Sequential, path: PathLike[str], calibration: Sequence[float] = (0, 1, 1, 1, 1)) -> None:
    """Write weights as `reading.net` takes them: float16, rows × columns × channels down, normalisation folded in."""
    arrays: dict[str, torch.Tensor] = {}
    modules = list(net)
    for number, layer in enumerate(module for module in modules if isinstance(module, nn.Conv2d)):
        weights, bias = layer.weight.detach(), layer.bias
        following = modules[modules.index(layer) + 1] if number < len(LAYERS) - 1 else None
        if isinstance(following, nn.BatchNorm2d):
            factor = following.weight.detach() / torch.sqrt(following.running_var + following.eps)
            weights, bias = weights * factor[:, None, None, None], following.bias - following.running_mean * factor
        arrays[f"weights{number}"] = weights.permute(2, 3, 1, 0).reshape(-1, weights.shape[0])
        arrays[f"bias{number}"] = bias.detach()
    half = {name: array.numpy().astype(np.float16) for name, array in arrays.items()}
    np.savez(path, calibration=np.array(calibration), **half)
