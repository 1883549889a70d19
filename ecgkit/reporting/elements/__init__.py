"""What sections, tables and pages are made of: sections as data, labels, the geometry of charts."""
