"""The compressed file: its bytes, packed parts and the entropy coder."""
