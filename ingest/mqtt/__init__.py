"""MQTT 5: one persistent session, its connections, and the messages received and sent."""
