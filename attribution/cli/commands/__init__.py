"""One module a command, under the command's name; `attribution.cli.main` registers them."""
