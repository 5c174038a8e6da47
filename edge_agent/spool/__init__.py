"""The spool: sealed envelopes on disk, until they are settled, evicted or erased."""
