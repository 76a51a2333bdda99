"""One file a subcommand; each imports the library only when it runs."""
