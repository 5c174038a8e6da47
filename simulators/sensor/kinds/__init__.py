"""The kinds of virtual sensors: CGM sensor, glucose meter, oximeter, heart rate strap."""
