"""Owns training: `python -m mnist_seq_cli.reading.training -o DIR` trains the net of the reader.

It writes `reader-net.npz` (weights as float16, and the calibration), `log.tsv`, and each 1,000 steps `checkpoint.pt`,
from which `--resume` goes on.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.mnist.bank import NET_FILE
from mnist_seq_cli.reading.lines import line_of
from mnist_seq_cli.reading.net import load
from mnist_seq_cli.reading.training.calibration import calibrated
from mnist_seq_cli.reading.training.examples import CALIBRATE, Example, Examples, batches, together
from mnist_seq_cli.reading.training.torch_net import log_chances, loss_of, new_net, save
from mnist_seq_cli.samples.sequence_dataset import SequenceDataset

BATCH, RATE, WARM_UP, DECAY, AVERAGED = 96, 2e-3, 500, 1e-4, 0.999
"""Lines a step; the highest learning rate, and steps to it; weight decay; and how slowly the mean of weights moves."""

EVERY, HELD_OUT = 1000, 20_000
"""Steps between two looks at how well it reads, and lines to calibrate with."""

LOOKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "slanted, rotated": {"slant": (-20, 20), "rotate": (-10, 10)},
    "strokes": {"stroke": (-1, 1)},
    "tight": {"crop": "tight", "max_gap": 3},
    "overlap 14": {"min_gap": -14, "max_gap": -14},
}
"""Options of the strips that are looked at."""


class Stream(IterableDataset[Examples]):
    """Batches of examples without end, of each worker its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __iter__(self) -> Iterator[Examples]:
        worker = get_worker_info()
        return batches(self._seed * 1000 + (worker.id if worker else 0), BATCH)


class Training:
    """A net, the mean of its weights over the last steps, and the optimizer, after a number of `steps`.

    With `bfloat16` convolutions are done in it, which takes half the time on processors that have it; weights and the
    loss stay float32.
    """

    def __init__(self, path: Path, bfloat16: bool = False) -> None:
        self.path, self._bfloat16 = path, bfloat16
        self.steps = 0
        self.net = new_net()
        self.averaged = copy.deepcopy(self.net)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), weight_decay=DECAY)

    def resume(self) -> None:
        """Go on from the checkpoint."""
        state = torch.load(self.path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]

    def save(self) -> None:
        """Write the checkpoint."""
        net, averaged, optimizer = (part.state_dict() for part in (self.net, self.averaged, self.optimizer))
        torch.save({"steps": self.steps, "net": net, "averaged": averaged, "optimizer": optimizer}, self.path)

    def step(self, examples: Examples, progress: float) -> float:
        """Learn from examples, `progress` (0 to 1) of the way, and return the loss."""
        rate = RATE * min((self.steps + 1) / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * progress))
        self.optimizer.param_groups[0]["lr"] = rate
        lines, digits, centres, lengths = map(torch.as_tensor, examples)  # which loaders give as tensors or arrays
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            chances = log_chances(self.net, lines)
        loss = loss_of(chances, digits, centres, lengths)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5)
        self.optimizer.step()
        keep = min(AVERAGED, self.steps / (self.steps + 10))
        with torch.no_grad():
            for mean, value in zip(self.averaged.state_dict().values(), self.net.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - keep)
                else:
                    mean.copy_(value)
        self.steps += 1
        return float(loss.item())


def held_out() -> dict[str, Examples]:
    """Return 1,000 lines of each look, of glyphs that are not trained with."""
    found = {}
    for name, look in LOOKS.items():
        wanted = {"length": 4, "max_gap": 10, **look, "pool": CALIBRATE, "seed": 3, "samples": 1000}
        examples = []
        for sample in SequenceDataset(**wanted):
            try:
                examples.append(Example(line_of(sample.image).values, sample.digits, np.zeros(4)))
            except CheckError:
                continue
        found[name] = together(examples)
    return found


@torch.inference_mode()
def rates(net: nn.Module, looks: dict[str, Examples]) -> list[float]:
    """Return the part of the lines of each look that is read right."""
    net.eval()
    found = []
    for lines, digits, _, _ in looks.values():
        right = 0
        for classes, wanted in zip(log_chances(net, torch.from_numpy(lines)).argmax(2), digits.tolist(), strict=True):
            runs = torch.unique_consecutive(classes)
            right += (runs[runs > 0] - 1).tolist() == wanted
        found.append(right / len(lines))
    net.train()
    return found


def train(training: Training, steps: int, seed: int, workers: int, log: Path) -> None:
    """Train up to a number of steps, and write a line of the log and a checkpoint now and then."""
    stream = DataLoader(
        Stream(seed + training.steps), batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None
    )
    looks, begin, lost = held_out(), time.monotonic(), 0.0
    with log.open("a") as file:
        if not training.steps:
            file.write("\t".join(["steps", "seconds", "loss", *looks]) + "\n")
        for examples in stream:
            lost += training.step(examples, training.steps / steps)
            if training.steps % EVERY == 0 or training.steps == steps:
                seen = [lost / EVERY, *rates(training.averaged, looks)]
                row = [str(training.steps), f"{time.monotonic() - begin:.0f}", *(f"{value:.4f}" for value in seen)]
                file.write("\t".join(row) + "\n")
                file.flush()
                lost = 0.0
                training.save()
            if training.steps == steps:
                return


def main() -> None:
    """Train, calibrate, and write the net."""
    parser = argparse.ArgumentParser(description="Train the net of the reader.")
    parser.add_argument("--steps", type=int, default=38_000, help=f"batches of {BATCH} lines")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make lines")
    parser.add_argument("--held-out", type=int, default=HELD_OUT, help="lines to calibrate with")
    parser.add_argument("--bfloat16", action="store_true", help="half the time, where the processor has it")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    training = Training(asked.out / "checkpoint.pt", asked.bfloat16)
    if asked.resume:
        training.resume()
    if training.steps < asked.steps:
        train(training, asked.steps, asked.seed, asked.workers, asked.out / "log.tsv")
    path = asked.out / NET_FILE.name
    save(training.averaged, path)
    calibration = calibrated(load(path), asked.held_out, asked.seed + 99)
    save(training.averaged, path, calibration)


if __name__ == "__main__":
    main()
