"""What a campaign looks like: figures and tables for pages, reports and notebooks."""
