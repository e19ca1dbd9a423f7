"""`python -m fleetcap` is `fleetcap`."""

from fleetcap.cli import main

main()
