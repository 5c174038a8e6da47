"""
What the values of Bluetooth characteristics say: one file per family, `decode` beside `encode`.

GSS stands for the GATT Specification Supplement, which lays out the fields.

Pure. A decoder takes any bytes and returns a measurement or raises `DecodeError`, nothing else.
It never guesses, in four ways:

* Missing bytes are an error: a field that the flags announce and that is cut off is not absent.
* Flag bits that are reserved are ignored, as the specifications ask.
* More bytes than expected are ignored where flags announce the fields, because a later version of
  a service appends its fields at the end (and zero padding is seen in the field). Where the
  length is fixed, or told by the value itself, they are an error: `TrailingBytes`.
* What is no number (NaN, NRes, infinities) is a `NotANumber`, never 0 and never a float.

What is implausible, a warm-up frame, a ketone record or a control solution decodes: it is what
the sensor said. That it is no observation is told by `observations` of each family, which turns
a measurement into wire quantities or refusals (`meaning`).

`encode` is for virtual sensors: what does not fit its field raises ValueError or struct.error.
"""
