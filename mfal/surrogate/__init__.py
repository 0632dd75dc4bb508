"""What is believed about candidates that have not been asked about."""
