"""The books: sole writer of the ledger's rows and of the transparency log, fed by the event bus."""

from sluicegate.wiring.consumers import consume

if __name__ == "__main__":
    consume()
