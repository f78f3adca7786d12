"""The subcommands of `gpubp`, whose run(args) returns the exit code. cli.py imports only the one that runs: --help is fast."""
