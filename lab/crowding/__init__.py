"""`make crowding`: one caller does all it can to crowd the others out, and another user must not notice."""
