"""Systems: ways to answer a query, and what they are made of."""
