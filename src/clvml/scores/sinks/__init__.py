"""Where scores go: files, and tables of data bases."""
