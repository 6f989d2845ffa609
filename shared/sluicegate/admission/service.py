"""The admission service: compiles a subject's counters and drives the store.

Interface (see the class below once written): admit, grow, settle, release, pass_through, renew,
reap, overview.
"""
