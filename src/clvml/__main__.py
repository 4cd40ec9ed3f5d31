"""`python -m clvml`: the command line, where the folder of scripts is on no path."""

from clvml.cli import main

if __name__ == "__main__":
    main()
