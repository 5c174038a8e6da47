"""
What every process needs and none is about: settings, logs, TLS, stop signals, health, metrics.

Knows nothing of sensors, envelopes or consents, and imports no program.
"""
