"""HTML pages: each is one file with its styles, scripts and data, which works offline."""
