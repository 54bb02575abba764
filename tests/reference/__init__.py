"""A second decoder, in plain Python, written from engine/FORMAT.md alone: clear rather than fast.

It is what the C++ core is compared with, and it is the shortest way to understand the format: `decoder` for files,
`container` for headers, `levels` for the lane coder, `elements` for numbers. `encoder` makes the lane coder's streams
for the vectors. Nothing here is used by the package, and nothing here uses it.
"""
