"""Where the command line writes exports to."""

from sluicegate.adapters.local.export_files import write_file, write_folder

__all__ = ["write_file", "write_folder"]
