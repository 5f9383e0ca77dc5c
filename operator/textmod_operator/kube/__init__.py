"""Everything that talks to the API server. The one door to the `kubernetes` client."""
