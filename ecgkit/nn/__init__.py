"""Building blocks that several families share. They are pure modules and know no family, file or config."""
