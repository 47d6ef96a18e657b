"""`python -m remaster`."""

from remaster.cli import main

main(prog_name="remaster")
