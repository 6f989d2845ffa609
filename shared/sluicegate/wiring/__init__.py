"""The only place that chooses adapters: one module per deployable, and one for the command line."""
