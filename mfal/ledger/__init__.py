"""What was asked, answered and paid for: one database, appended to by one writer per campaign."""
