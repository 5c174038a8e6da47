"""What all virtual sensors share: radio, GATT server, clock, stored records and faults."""
