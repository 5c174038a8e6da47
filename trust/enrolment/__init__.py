"""How a gateway gets its identity and its certificate, and how it loses them."""
