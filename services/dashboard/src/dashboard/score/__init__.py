"""The score: a call drawn like a line of music. Pure: events to parts, to geometry, to SVG."""
