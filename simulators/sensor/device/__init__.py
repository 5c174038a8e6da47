"""The parts of all virtual sensors: radio, GATT server, clock, stored records and faults."""
