"""Reviews of companies on Trustpilot."""
