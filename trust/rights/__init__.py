"""The right of a person to a copy of all data that are stored about them."""
