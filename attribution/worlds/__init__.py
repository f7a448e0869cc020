"""Simulated worlds whose true channel effects are known: what one is, which are shipped, and running them."""

from __future__ import annotations

from attribution.worlds.catalogue import WORLDS, load_world
from attribution.worlds.simulation import Simulation, simulate
from attribution.worlds.world import Channel, World

__all__ = ["WORLDS", "Channel", "Simulation", "World", "load_world", "simulate"]
