"""What all virtual sensors share: a radio, a GATT server, a clock, stored records, faults."""
