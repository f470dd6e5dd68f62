"""LinkedIn: what is said to and about an organisation's page."""
