"""What a number becomes in fewer bits: scales, codes, and what they mean again."""
