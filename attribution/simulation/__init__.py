"""Simulated worlds whose true channel effects are known: what one is, which are shipped, and running them."""

from __future__ import annotations

from attribution.simulation.loading import load_world
from attribution.simulation.raw_log import RawLog, make_raw_log
from attribution.simulation.shipped import WORLDS, random_world
from attribution.simulation.simulation import Simulation, simulate
from attribution.simulation.world import Channel, World

__all__ = [
    "WORLDS",
    "Channel",
    "RawLog",
    "Simulation",
    "World",
    "load_world",
    "make_raw_log",
    "random_world",
    "simulate",
]
