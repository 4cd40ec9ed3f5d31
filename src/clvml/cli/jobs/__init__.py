"""The jobs behind the commands: each from files and a log to what is printed."""
