"""Pictures as PNG and SVG: ECGs, beats, lines, reconstructions."""
