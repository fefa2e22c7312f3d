from __future__ import annotations

from pathlib import Path

from framedaemon.ledger import Ledger
from framedaemon.orders import order_for
from framedaemon.recipe import Recipe
from living import make_instance


def test_an_order_says_where_the_files_stand_and_what_was_learned(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    ledger = Ledger(instance.ledger)
    ledger.claiming([("a", "sea/cat.png", None, "cat.last.png")], 1.0)
    ledger.add_job("a", 2, Recipe().to_json(), "sea/cat", 0, 1.0)
    ledger.history.remember_fit("wan", 3)
    (job,) = ledger.jobs_of("a")

    order = order_for(job, 4, instance, ledger)
    ledger.close()

    folder = instance.jobs / "a"
    assert (order.job, order.name, order.attempt, order.number) == ("a-2", "sea/cat.png", 4, 2)
    assert Path(order.source).relative_to(folder).name == "cat.png"
    assert order.last is not None and Path(order.last).name == "cat.last.png"
    assert Path(order.folder).is_relative_to(folder)
    assert order.fits == {"wan": 3}
