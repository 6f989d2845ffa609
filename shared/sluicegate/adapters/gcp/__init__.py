"""Google Cloud, through Google's own client libraries (the extra `gcp`), which are loaded on first use."""
