"""
The surroundings of the programs: people, sensors, recordings, fleets, and the servers.

Speaks to the programs as the world does (bytes, files, sockets, command lines) and never imports
ingest or trust.
"""
