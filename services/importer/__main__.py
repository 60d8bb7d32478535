"""Starts the importer."""

if __name__ == "__main__":
    # Here, for a process that inspects files loads this module again, and needs none of it.
    from services.importer.app import main

    main()
