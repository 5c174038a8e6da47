"""Ready scenarios for fleets, YAML; `vitalveil simulate fleet --list` names them."""
