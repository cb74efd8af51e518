"""What one writes without a tool: read MNIST, and for each strip choose, stack and save. The benchmark's yardstick.

python plain_loop.py MNIST_DIRECTORY OUTPUT_DIRECTORY COUNT
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main(mnist: Path, output: Path, count: int) -> None:
    images = 255 - np.fromfile(mnist / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.fromfile(mnist / "train-labels-idx1-ubyte", np.uint8, offset=8)
    by_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
    rng = np.random.default_rng(1)
    output.mkdir(parents=True)
    with (output / "labels.csv").open("w") as table:
        for number in range(count):
            digits = rng.integers(0, 10, 4)
            strip = np.hstack([images[rng.choice(by_digit[digit])] for digit in digits])
            Image.fromarray(strip).save(output / f"{number:08d}.png")
            table.write(f"{number:08d}.png,{'-'.join(map(str, digits))}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
