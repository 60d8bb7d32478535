"""Starts the importer."""

from services.importer.app import main

# What inspects files is a process of its own, which loads this module again.
if __name__ == "__main__":
    main()
