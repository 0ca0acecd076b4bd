"""The model of tables: whole numbers, column after column."""
