"""What is examined: an instance, its settings as far as they can be read, and how thoroughly."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from framedaemon.errors import SettingsError
from framedaemon.instance import Instance
from framedaemon.settings import Settings, read_settings
from framedaemon.weights import models_folder


@dataclass(frozen=True, slots=True)
class Patient:
    """An instance to be examined."""

    instance: Instance
    settings: Settings
    """The defaults where config.toml cannot be used."""
    unusable: tuple[str, ...]
    """Why config.toml cannot be used."""
    now: float
    """Wall clock."""
    deep: bool = False
    """Whether all weights are read."""

    @property
    def models(self) -> Path:
        """The folder of the weights."""
        return models_folder(self.settings.models.folder, self.instance.root, os.environ)


def admit(instance: Instance, now: float, deep: bool = False) -> Patient:
    """The instance, with settings that are at their defaults where they cannot be read."""
    try:
        return Patient(instance, read_settings(instance.config), (), now, deep)
    except SettingsError as error:
        return Patient(instance, Settings(), error.problems, now, deep)
    except OSError as error:
        return Patient(instance, Settings(), (f"config.toml: cannot be read: {error.strerror}",), now, deep)
