"""Rules, dashboards and deployment files."""
