"""Why something failed, in words, and what to do about it: for files, networks, TLS, MQTT, SQL."""
