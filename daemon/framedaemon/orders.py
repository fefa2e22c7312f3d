"""What a worker is told of a job."""

from __future__ import annotations

from framedaemon.instance import Instance
from framedaemon.ledger import JobRow, Ledger
from framedaemon.messages import Order
from framedaemon.naming import mirrored
from framedaemon.recipe import Recipe
from framedaemon.workspace import Workspace


def order_for(job: JobRow, attempt: int, instance: Instance, ledger: Ledger) -> Order:
    """Where its files stand, what is asked for, and what earlier attempts and jobs have taught."""
    workspace = Workspace(instance.jobs / job.drop_id)
    last = ledger.drop(job.drop_id).last
    return Order(
        job=job.id,
        name=str(mirrored(job.name)),
        source=str(workspace.source / job.name.rpartition("/")[2]),
        last=str(workspace.source / last) if last is not None else None,
        folder=str(workspace.job(job.number)),
        recipe=Recipe.from_json(job.recipe),
        attempt=attempt,
        number=job.number,
        shrinks=job.shrinks,
        fits=ledger.history.fits(),
    )
