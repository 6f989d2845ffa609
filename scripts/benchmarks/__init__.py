"""What `./scripts/bench` runs: the gateway beside others, on one machine, at the same time."""
