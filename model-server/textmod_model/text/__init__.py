"""Text as the model reads it: cleaning, tokens, features. Pure, shared by training and scoring."""
