"""MQTT: one persistent session, its connections, and what is received and sent over them."""
