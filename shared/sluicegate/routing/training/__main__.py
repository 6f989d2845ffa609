"""Trains on the labelled prompts, evaluates on those held out, writes the weights with the figures."""

import json
import sys

from sluicegate.routing.complexity import WEIGHTS_FILE
from sluicegate.routing.training.trainer import document, read_prompts


def main() -> None:
    trained = document(read_prompts())
    WEIGHTS_FILE.write_text(json.dumps(trained, indent=1) + "\n", "utf-8")
    sys.stdout.write(json.dumps(trained["evaluation"], indent=1) + "\n")


if __name__ == "__main__":
    main()
