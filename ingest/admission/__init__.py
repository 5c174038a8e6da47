"""
Which envelopes may be stored, and why the others may not; the plan of a flush. Pure.

Most arrays here have one element for each member of an **index space**. The docstrings name the
space as the shape, and an array of indexes names the space that it points into:

* **envelope**: the deliveries of a flush, in the order of the sequence `opened`.
* **body**: the envelopes that have a body, in the same order.
* **arrival**: the blocks of all bodies, in the order in which they arrived.
* **block**: the same blocks, sorted by series and then by the time of their first observation.
  `Blocks.arrivals` leads from block to arrival.
* **observation**: the observations of all blocks, missing ones included, in the order of blocks.
  `Columns.firsts` leads from block to observation.
* **row**: the observations that are to be stored (`Rows`).

`envelopes` is always an array of envelope indexes. Three kinds of numbers outlive a flush and are
given by `pair_index`: the number of a handle, the number of a rule (`Permissions.rules`), and the
slot of a series, which is its number among all series that this process has seen.
"""
