"""`python -m homestretch` is the `rtm` command."""

from homestretch.cli import main

main()
