"""Starts the registry."""

from services.registry.app import main

main()
