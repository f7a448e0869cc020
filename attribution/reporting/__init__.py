"""Pictures and pages: charts are drawn in `charts`, pages are written in `report`."""
