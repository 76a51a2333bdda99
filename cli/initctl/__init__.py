"""The command line of structinit."""
