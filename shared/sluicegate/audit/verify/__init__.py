"""Verification of logs and exports: recomputes everything, trusts nothing but the keys it is given."""
