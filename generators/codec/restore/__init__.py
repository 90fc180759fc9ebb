"""Read a codec back from model.json, checked so that sampling can trust every code, size and time.

`codec.restored` is what the generators call. Each part is read by a function of its own, in the
order in which parts refer to each other; what a part refers to has been read and checked before.
The inverse is `Codec.to_json`.
"""
