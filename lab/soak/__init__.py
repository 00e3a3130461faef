"""Many users at once, for a while: does every answer stay right, and does anything grow?"""
