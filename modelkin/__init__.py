"""What users import and type: the client, the command line, and the launcher for one machine."""
