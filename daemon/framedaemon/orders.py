"""What a worker is told of a job."""

from __future__ import annotations

from framedaemon.approval import recipe_of
from framedaemon.errors import JobRejected
from framedaemon.instance import Instance
from framedaemon.ledger import JobRow, Ledger
from framedaemon.messages import Order
from framedaemon.naming import mirrored
from framedaemon.workspace import Workspace


def order_for(job: JobRow, attempt: int, instance: Instance, ledger: Ledger) -> Order:
    """Where its files stand, what is asked for, and what earlier attempts and jobs have taught.

    Raises JobRejected where another version wrote a recipe that this one cannot read.
    """
    recipe = recipe_of(job)
    if recipe is None:
        raise JobRejected("its recipe is of another version of framedaemon, and cannot be read: drop the picture again")
    workspace = Workspace(instance.jobs / job.drop_id)
    last = ledger.drop(job.drop_id).last
    return Order(
        job=job.id,
        name=str(mirrored(job.name)),
        source=str(workspace.source / job.name.rpartition("/")[2]),
        last=str(workspace.source / last) if last is not None else None,
        folder=str(workspace.job(job.number)),
        recipe=recipe,
        attempt=attempt,
        number=job.number,
        shrinks=job.shrinks,
        fits=ledger.history.fits(),
    )
