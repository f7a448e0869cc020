"""Measurements of this project, on its own and against its peers; see README.md in this folder."""
