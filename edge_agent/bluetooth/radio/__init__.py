"""The radio itself: scanning, connecting, pairing, and recovery after a failure."""
