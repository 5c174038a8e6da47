"""From a measurement to the body of an envelope: minimise, pseudonymise, batch."""
