"""What a company's people teach: which labels are taken, what is learned of them, and which version is in service."""
