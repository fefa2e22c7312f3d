from __future__ import annotations

import pytest
from pydantic import ValidationError

from framedaemon.section import Section


class Lamp(Section):
    watts: float = 5.0


def test_a_table_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError):
        Lamp().watts = 3.0


@pytest.mark.parametrize("table", [{"wats": 3.0}, {"watts": "3"}, {"watts": float("nan")}])
def test_what_is_misspelt_or_of_another_kind_is_a_mistake(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Lamp.model_validate(table)
