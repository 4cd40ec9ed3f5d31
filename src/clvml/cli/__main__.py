"""python -m clvml.cli: the command line without its script."""

from clvml.cli import main

if __name__ == "__main__":
    main()
