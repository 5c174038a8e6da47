"""
Virtual Bluetooth sensors: GATT servers that send what recorded and invented people measure.

They reach a central inside one process (tests), through a virtual controller that a host is given
(a kernel's /dev/vhci, or a socket), or through a real dongle. Faults are injected on request. Only
`device` and `kinds` know Bumble.
"""
