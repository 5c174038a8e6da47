"""
The contract: what crosses between agent, broker, ingest and trust.

Pure values and their codecs. This package opens no socket, reads no file, asks no clock and
draws no randomness of its own; any bytes that it is given yield a value or a `WireError`.
"""
