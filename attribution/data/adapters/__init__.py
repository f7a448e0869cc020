"""Raw exports of well-known products become canonical tables: an adapter is a TOML file, not code."""

from attribution.data.adapters.adapt import AdaptedTable, Adapter, Export, adapt, adapter_names, read_adapter

__all__ = ["AdaptedTable", "Adapter", "Export", "adapt", "adapter_names", "read_adapter"]
