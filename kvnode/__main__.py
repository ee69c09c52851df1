"""`python -m kvnode` is the command `kvnode`."""

from kvnode.cli.app import main

if __name__ == "__main__":
    main()
