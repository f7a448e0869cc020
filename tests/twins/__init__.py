"""Slow, obvious twins of what the package does fast.

Written from the definitions, without a look at the package, so that a mistake would have to be made twice to
go unnoticed. Nothing here imports the package.
"""
