"""VitalVeil, privacy-preserving health telemetry: the command `vitalveil`."""
