"""What is written: files whole or not at all, the event record, the tables, the lock, and the study folder."""
