"""Fuzz targets: one for each parser and each input format, all through one harness with one rule.

Any bytes are read, or refused by the documented errors, within the limits. `python -m fuzz --help` runs them under Atheris.
"""
