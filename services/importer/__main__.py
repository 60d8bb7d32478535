"""Starts the importer."""

from services.importer.app import main

main()
