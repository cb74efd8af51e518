"""Owns `python -m mnist_seq_cli`, which is `mnistseq`."""

from mnist_seq_cli.cli.main import main

if __name__ == "__main__":
    main()
