"""Sluicegate: a governed AI gateway that runs in a company's own Google Cloud project."""

__version__ = "0.1.0"
