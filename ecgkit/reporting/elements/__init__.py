"""The building blocks of pages: sections as data, names of results, and the geometry of charts."""
