"""The problems that ship with mfal, one file each."""
