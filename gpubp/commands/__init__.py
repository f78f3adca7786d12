"""The subcommands of `gpubp`, one module each. cli.py imports only the one that runs, which keeps --help fast."""
