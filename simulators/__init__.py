"""
Everybody else's part: people, sensors, recordings, fleets, and the servers around them.

Speaks to the programs as the world does (bytes, files, sockets, command lines) and never imports
ingest or trust.
"""
