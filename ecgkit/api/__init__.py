"""One documented function per command of ``ecgkit``, for notebooks, scripts and the commands themselves.

``ecgkit.ingest``, ``ecgkit.pretrain`` and all others are imported from here when they are first used; the table
``_FUNCTIONS`` of ``ecgkit/__init__.py`` says which module holds which function. All of them keep these rules:

- What the command takes as an argument comes first. Every option is keyword-only, has the option's name
  (``--patients-file`` is ``patients_file``), and the option's default.
- A path is a string or a `pathlib.Path`. Leads are names or the text that the command takes, such as ``"12"`` or
  ``"II,V5"``. Settings (``--set``) are a mapping such as ``{"recipe.lr": 1e-3}``, or texts such as
  ``"recipe.lr=1e-3"``.
- They print nothing. `progress` is called as ``progress(stage, done, total)``.
- They raise the errors of `ecgkit.errors`, and never exit the program.
"""
