"""Studies: a grid of pretrainings and a grid of probes on them, from one YAML file, done in one folder."""
