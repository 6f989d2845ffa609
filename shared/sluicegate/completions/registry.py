"""The codecs by dialect, and the translators between them."""
