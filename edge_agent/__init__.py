"""
The gateway: what a sensor said becomes a sealed envelope on its way to ingest.

Takes measurements only under a lease, keeps what the purpose needs, swaps the sensor for a
handle, seals, spools, publishes, and forgets what ingest says is settled. Never holds a name,
never writes a measurement, a handle or a sensor's address to disk or log in clear, and imports no
other program.
"""
