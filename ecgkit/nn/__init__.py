"""Building blocks that several families share. Pure modules: they know shapes, and no family, file or config."""
