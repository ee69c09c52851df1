"""`python -m jepsen_like` is the command `jepsen_like`."""

from jepsen_like.cli.app import main

if __name__ == "__main__":
    main()
