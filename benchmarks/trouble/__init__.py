"""What can go wrong, done to a little factory's state folder, and what must hold after it."""
