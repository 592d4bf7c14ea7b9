"""Whether what is stored is what was stored, and mending it where that can be derived."""
