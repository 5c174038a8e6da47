"""
Decoders and encoders of Bluetooth characteristics, one file for each family of sensors.

GSS is the GATT Specification Supplement, which defines the fields.

Pure. A decoder takes any bytes, and returns a measurement or raises `DecodeError`.
It never guesses:

* Missing bytes are an error: a field that the flags announce must be complete.
* Reserved flag bits are ignored, as the specifications require.
* Additional bytes are ignored where flags announce the fields, because a later version of a
  service appends its fields at the end, and some sensors pad with zeros. Where the length is
  fixed, or given in the value, they are an error: `TrailingBytes`.
* Special values (NaN, NRes, infinities) become a `NotANumber`, never 0.

Implausible numbers, warm-up frames, ketones and control solutions decode without an error: the
sensor did send them. The function `observations` of each family turns a measurement into
quantities of the wire, or into refusals (`meaning`).

`encode` is for virtual sensors. A number that does not fit its field raises ValueError or
struct.error.
"""
