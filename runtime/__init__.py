"""
What every program needs: settings, logs, TLS, stop signals, health, metrics, files, PostgreSQL.

The package contains nothing about sensors, envelopes or consents, and imports no program.
"""
