"""Sources other than the radio: recorded sensors on a socket, and the clocks of this machine."""
