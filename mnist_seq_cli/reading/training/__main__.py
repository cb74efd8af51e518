"""Trains the net of the reader: `python -m mnist_seq_cli.reading.training -o DIR`.

It writes `reader-net.npz` (weights as float16, batch normalisation folded in), `log.tsv`, and every some thousand steps
`checkpoint.pt`, from which `--resume` goes on.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.reading.lines import line_of
from mnist_seq_cli.reading.net import CLASSES, LAYERS, STEP
from mnist_seq_cli.reading.training.examples import CALIBRATE, Example, Examples, batches, together
from mnist_seq_cli.samples.sequence_dataset import SequenceDataset

CHANNELS = (16, 32, 64, 192, 64, 2 * CLASSES)
BATCH, RATE, WARM_UP, DECAY, AVERAGED = 96, 2e-3, 500, 1e-4, 0.999
EVERY = 1000

LOOKS = {
    "plain": {},
    "slanted, rotated": {"slant": (-20, 20), "rotate": (-10, 10)},
    "strokes": {"stroke": (-1, 1)},
    "tight": {"crop": "tight", "max_gap": 3},
    "overlap 14": {"min_gap": -14, "max_gap": -14},
}


class Stream(IterableDataset[Examples]):
    """Batches of examples without end, each worker its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __iter__(self) -> Iterator[Examples]:
        worker = get_worker_info()
        return batches(self._seed * 1000 + (worker.id if worker else 0), BATCH)


def new_net() -> nn.Sequential:
    """The net of `reading.net`, with batch normalisation."""
    parts: list[nn.Module] = []
    before = 1
    for number, (layer, channels) in enumerate(zip(LAYERS, CHANNELS, strict=True)):
        last = number == len(LAYERS) - 1
        shape = {"stride": (layer.step_down, layer.step_across), "padding": (layer.above, layer.beside)}
        parts.append(nn.Conv2d(before, channels, (layer.rows, layer.columns), bias=last, **shape))
        if not last:
            parts += [nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*parts).to(memory_format=torch.channels_last)


def log_chances(net: nn.Module, lines: torch.Tensor) -> torch.Tensor:
    """Log chances (n, columns, CLASSES) for lines uint8 (n, HEIGHT, width)."""
    out = net((lines.float() / 255)[:, None].contiguous(memory_format=torch.channels_last))[:, :, 0]
    count, _, columns = out.shape
    return out.permute(0, 2, 1).reshape(count, 2 * columns, CLASSES).log_softmax(2)


def loss_of(chances: torch.Tensor, digits: torch.Tensor, centres: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """CTC, and half as much that the column in which a digit is centred shows it, and that most others are blank."""
    count, columns, _ = chances.shape
    steps = torch.full((count,), columns)
    ctc = nn.functional.ctc_loss(
        chances.transpose(0, 1), digits.long() + 1, steps, lengths, reduction="sum", zero_infinity=True
    )
    row, place = torch.nonzero(torch.arange(digits.shape[1]) < lengths[:, None], as_tuple=True)
    middle = (centres[row, place] / STEP).long()
    wanted = torch.zeros((count, columns + 2), dtype=torch.long)
    for beside in (0, 2):  # either may show the digit, too
        wanted[row, middle + beside] = -100
    wanted[row, middle + 1] = digits[row, place].long() + 1
    column = nn.functional.cross_entropy(
        chances.reshape(-1, CLASSES), wanted[:, 1:-1].reshape(-1), reduction="sum", ignore_index=-100
    )
    return (ctc + 0.5 * column) / (lengths.sum() + count)


def decoded(chances: torch.Tensor) -> list[list[int]]:
    """The digits of the most likely class of each column."""
    read = []
    for classes in chances.argmax(2):
        runs = torch.unique_consecutive(classes)
        read.append((runs[runs > 0] - 1).tolist())
    return read


def held_out() -> dict[str, Examples]:
    """1,000 lines of each look, of glyphs that are not trained on."""
    found = {}
    for name, look in LOOKS.items():
        data = SequenceDataset(length=4, **{"max_gap": 10, **look}, pool=CALIBRATE, seed=3, samples=1000)
        examples = []
        for sample in data:
            try:
                examples.append(Example(line_of(sample.image).values, sample.digits, np.zeros(4)))
            except CheckError:
                continue
        found[name] = together(examples)
    return found


@torch.inference_mode()
def rates(net: nn.Module, looks: dict[str, Examples]) -> list[float]:
    """The part of the lines of each look that is read right."""
    net.eval()
    found = []
    for lines, digits, _, _ in looks.values():
        read = decoded(log_chances(net, torch.from_numpy(lines)))
        found.append(sum(one == wanted for one, wanted in zip(read, digits.tolist(), strict=True)) / len(lines))
    net.train()
    return found


def saved(net: nn.Sequential, path: Path) -> None:
    """Write weights as the reader takes them: float16, rows × columns × channels down, batch normalisation folded in."""
    arrays = {}
    modules = list(net)
    for number, layer in enumerate(module for module in modules if isinstance(module, nn.Conv2d)):
        weights, bias = layer.weight.detach(), layer.bias
        following = modules[modules.index(layer) + 1] if number < len(LAYERS) - 1 else None
        if isinstance(following, nn.BatchNorm2d):
            factor = following.weight.detach() / torch.sqrt(following.running_var + following.eps)
            weights, bias = weights * factor[:, None, None, None], following.bias - following.running_mean * factor
        flat = weights.permute(2, 3, 1, 0).reshape(-1, weights.shape[0])
        arrays[f"weights{number}"], arrays[f"bias{number}"] = flat, bias.detach()
    np.savez(path, **{name: array.numpy().astype(np.float16) for name, array in arrays.items()})


def main() -> None:
    """Train, and write weights and log."""
    parser = argparse.ArgumentParser(description="Train the net of the reader.")
    parser.add_argument("--steps", type=int, default=60_000, help="batches of 96 lines")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make lines")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    net = new_net()
    averaged = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=DECAY)
    done = 0
    if asked.resume:
        state = torch.load(asked.out / "checkpoint.pt", weights_only=True)
        net.load_state_dict(state["net"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["steps"]
    looks, begin, lost, waited = held_out(), time.monotonic(), 0.0, 0.0
    log = (asked.out / "log.tsv").open("a")
    if not done:
        print("steps", "seconds", "loss", *looks, sep="\t", file=log, flush=True)
    stream = DataLoader(Stream(asked.seed + done), batch_size=None, num_workers=asked.workers, prefetch_factor=8)
    batch = iter(stream)
    for step in range(done, asked.steps):
        optimizer.param_groups[0]["lr"] = RATE * min((step + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / asked.steps))
        before = time.monotonic()
        examples = next(batch)
        waited += time.monotonic() - before
        loss = loss_of(log_chances(net, examples.lines), examples.digits, examples.centres, examples.lengths)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimizer.step()
        lost += loss.item()
        with torch.no_grad():
            keep = min(AVERAGED, step / (step + 10))
            for mean, value in zip(averaged.state_dict().values(), net.state_dict().values(), strict=True):
                mean.lerp_(value, 1 - keep) if mean.is_floating_point() else mean.copy_(value)
        if (step + 1) % EVERY == 0 or step + 1 == asked.steps:
            shown = [f"{rate:.4f}" for rate in rates(averaged, looks)]
            taken = time.monotonic() - begin
            print(step + 1, round(taken), f"{lost / EVERY:.4f}", *shown, sep="\t", file=log, flush=True)
            print(step + 1, round(taken), f"waited {waited:.0f}", f"{lost / EVERY:.4f}", *shown, flush=True)
            lost = 0.0
            state = {"net": net.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "steps": step + 1}, asked.out / "checkpoint.pt")
            saved(averaged, asked.out / "reader-net.npz")


if __name__ == "__main__":
    main()
