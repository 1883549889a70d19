"""``ecgkit.list_tasks``, ``list_heads`` and ``list_encoders``: what can be named, and what fits a store or a run."""

from typing import TYPE_CHECKING

from ecgkit.api.arguments import PathLike, path_or_none

if TYPE_CHECKING:
    from ecgkit.workspace.listing import EncoderDetails, HeadDetails, TaskDetails


def list_tasks(*, data: PathLike | None = None, run: PathLike | None = None) -> "list[TaskDetails]":
    """Return the registered tasks; with a store, those whose labels it holds come first, with their counts.

    Args:
        data: Store to compare the tasks with.
        run: Run whose store is compared, if `data` is not given.

    Raises:
        StoreError: There is no such store.
        RunError: There is no such run.
    """
    from ecgkit.store.remote import located
    from ecgkit.workspace.defaults import the_store_of
    from ecgkit.workspace.listing import tasks

    store = None if data is None else located(data)
    if run is not None:
        store = the_store_of(path_or_none(run), store, "ecgkit tasks --run")  # type: ignore[arg-type]  # it is given
    return tasks(store)


def list_heads(*, run: PathLike | None = None) -> "list[HeadDetails]":
    """Return the registered heads; with a run, whether its encoder gives what each head reads.

    Args:
        run: Run to compare the heads with.

    Raises:
        RunError: There is no such run.
    """
    from ecgkit.workspace.listing import heads

    return heads(path_or_none(run))


def list_encoders(method: str = "", *, data: PathLike | None = None) -> "list[EncoderDetails]":
    """Return the presets of the methods: signal contract, size and epochs; with a store, what their training lacks.

    Args:
        method: Method whose presets are listed. By default all.
        data: Store to compare them with.

    Raises:
        PluginError: There is no such method.
        StoreError: There is no such store.
    """
    from ecgkit.store.remote import located
    from ecgkit.workspace.listing import encoders

    return encoders(method, None if data is None else located(data))
