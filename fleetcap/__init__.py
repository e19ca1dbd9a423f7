"""The command `fleetcap`: it puts producer, broker, worker and outputs together and owns nothing else.

cli.py        the commands and their options
settings.py   flags, then FLEETCAP_* variables, then a TOML file, as one typed class
commands/     what each command does
show/         how decoded traffic looks: table, JSON lines, the reference's text and hex
"""
