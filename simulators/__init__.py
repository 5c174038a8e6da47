"""
The environment of the programs, simulated: people, sensors, recordings, fleets, and the servers.

Simulators reach the programs only through bytes, files, sockets and command lines, as the real
environment does. They never import ingest or trust.
"""
