"""The commands of `gpubp`, one file each, imported when they are called for so that --help is quick."""
