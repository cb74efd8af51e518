"""The whole way from nothing to a scored reader of digit strings: copy it, and change what you need.

    python tests/interop/train_ctc.py -o trained

makes strips of four digits while it trains a small convolutional net with CTC on them, reads strips of MNIST's test
file with it, and writes trained/predictions.csv, trained/learning-curve.svg and trained/net.pt. Then it scores the
predictions, as `mnistseq inspect trained/test --predictions trained/predictions.csv` does.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.samples.recipe_samples import RecipeSamples
from mnist_seq_cli.torch import CLASSES, check_steps, collate, greedy_decode, predictions

RECIPE = {"length": 4, "max_gap": 8, "slant": (-20, 20)}
TEST = ["--len", "4", "--max", "8", "--slant", "-20-20", "--source", "test", "--seed", "2"]  # as command-line options
BATCH, EVERY = 100, 100  # samples; steps between two looks at how well it reads


class Net(nn.Sequential):
    """Images (n, 1, 28, width) to logits (n, CLASSES, width / 4)."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 32, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
            *(nn.Conv2d(64, 128, (7, 3), padding=(0, 1), bias=False), nn.BatchNorm2d(128), nn.ReLU(), nn.Flatten(1, 2)),
            *(nn.Conv1d(128, 128, 5, padding=2, bias=False), nn.BatchNorm1d(128), nn.ReLU()),
            *(nn.Dropout(0.2), nn.Conv1d(128, CLASSES, 1)),
        )

    def log_probs(self, images: torch.Tensor) -> torch.Tensor:
        """Log probabilities (steps, n, CLASSES), as CTC takes them."""
        return self(images).permute(2, 0, 1).log_softmax(2)


@torch.inference_mode()
def read(net: Net, data: RecipeSamples) -> tuple[list[str], float]:
    """What the net reads, and the part of the samples that it reads right."""
    net.eval()
    texts, right = [], 0
    for batch in data.batches(500):
        texts += greedy_decode(net.log_probs(collate(batch).images))
        right += sum(text == sample.label for text, sample in zip(texts[-len(batch) :], batch, strict=True))
    net.train()
    return texts, right / len(texts)


def draw(curve: list[tuple[float, float]], path: Path) -> None:
    """Write exact match, in %, over seconds as an SVG picture."""
    end = curve[-1][0]
    line = " ".join(f"{50 + 430 * seconds / end:.1f},{220 - 200 * exact:.1f}" for seconds, exact in curve)
    rates = "".join(
        f'<path d="M50 {y}H480"/><text x="44" y="{y + 4}">{110 - y // 2} %</text>' for y in range(20, 221, 50)
    )
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="500" height="250" font-family="sans-serif" font-size="12">'
        f'<rect width="500" height="250" fill="#fff"/><g stroke-width=".2" stroke="#000" text-anchor="end">{rates}'
        f'<text x="480" y="240">{end:.0f} s</text></g>'
        f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="2"/></svg>\n'
    )


def mnistseq(*words: object) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "mnist_seq_cli", *map(str, words)], check=True)


def main() -> None:
    """Train, read, write and score."""
    parser = argparse.ArgumentParser(description="Train a small CTC net on strips of four digits.")
    parser.add_argument("--steps", type=int, default=1_000_000, help="batches at most")
    parser.add_argument("--seconds", type=float, default=300, help="time for training at most")
    parser.add_argument("-o", "--out", type=Path, default=Path("trained"))
    asked = parser.parse_args()
    mnistseq("dataset", "-n", 5000, *TEST, "-o", asked.out / "test")
    torch.manual_seed(1)
    train = SequenceDataset(**RECIPE, seed=1, samples=100_000)
    valid = SequenceDataset(**RECIPE, seed=3, samples=500)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters())
    check_steps(valid, len(net.log_probs(collate(valid[:2]).images)))

    begin, loading, curve, step = time.monotonic(), 0.0, [(0.0, 0.0)], 0
    batches = (batch for epoch in range(10**6) for batch in train.epoch(epoch).batches(BATCH))
    while (progress := max(step / asked.steps, (time.monotonic() - begin) / asked.seconds)) < 1:
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1, (step + 1) / 100, 3 * (1 - progress))
        before = time.monotonic()
        batch = collate(next(batches))
        loading += time.monotonic() - before
        log_probs = net.log_probs(batch.images)
        steps = torch.full_like(batch.target_lengths, len(log_probs))
        loss = nn.functional.ctc_loss(log_probs, batch.targets, steps, batch.target_lengths)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % EVERY == 0:
            curve.append((time.monotonic() - begin, read(net, valid)[1]))
            print(f"{curve[-1][0]:.0f} s, {step} steps: loss {loss.item():.3f}, exact {curve[-1][1]:.1%}", flush=True)

    took = time.monotonic() - begin
    texts, exact = read(net, open_dataset(asked.out / "test"))
    draw([*curve, (took, exact)], asked.out / "learning-curve.svg")
    (asked.out / "predictions.csv").write_text(predictions(range(len(texts)), texts))
    torch.save(net.state_dict(), asked.out / "net.pt")
    print(f"{step} steps in {took:.0f} s, {loading / took:.1%} of it for making strips; exact {exact:.2%}", flush=True)
    mnistseq("inspect", asked.out / "test", "--predictions", asked.out / "predictions.csv")


if __name__ == "__main__":
    main()
