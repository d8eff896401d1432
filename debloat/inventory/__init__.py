"""What software an image has: packages of every kind that say so themselves, and which file is whose."""
