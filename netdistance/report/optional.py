"""How a field of a report says that it may be absent."""

# a field with this metadata is left out of the JSON where it is None
OPTIONAL = {"optional": True}
