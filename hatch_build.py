"""What hatch asks when it builds: the page that an index shows, and a file that a checkout has elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


class IndexPage(MetadataHookInterface):
    """Links and pictures that lead to files beside the README lead nowhere on an index: words stay, pictures go."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the page into the package's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", text)
        text = re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:)[^)]*\)", r"\1", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class Config(BuildHookInterface[Any]):
    """The config.toml that `framedaemon init` writes goes into the package; an editable install has the checkout's."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add it to a wheel that is whole: ``version`` is ``standard`` or ``editable``."""
        if version == "standard":
            build_data["force_include"]["config.toml"] = "framedaemon/config.toml"
