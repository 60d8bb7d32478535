"""Starts the versioning."""

from services.versioning.app import main

main()
