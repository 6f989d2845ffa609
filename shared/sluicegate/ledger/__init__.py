"""The ledger: usage rows, spend reports, rebuilding of hot counters."""
