"""``python -m mfal`` is the command line."""

from mfal.cli.app import main

if __name__ == "__main__":
    main()
