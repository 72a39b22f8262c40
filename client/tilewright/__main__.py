"""`python -m tilewright`: the same as the command `tilewright`."""

from tilewright.cli import main

main()
