"""Archives of files (``.zip``, ``.tar``, ``.tar.gz``) that are read in place, without unpacking them."""
