"""
Virtual Bluetooth sensors: GATT servers that measure what recordings and invented people show.

They speak to a central over the air of one process (tests), through a virtual controller that
a host is given (a kernel's /dev/vhci, a socket), or through a real dongle. They fail on demand.
Only `air` and `peripheral` know Bumble.
"""
