"""State in a SQL database: SQLite by default, PostgreSQL for several machines. It can always be rebuilt from the ledger."""
