"""What can go wrong, done for real to a little factory's state folder, and what must hold after it."""
