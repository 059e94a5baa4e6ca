"""What is made of a study: leaderboard, retraining, export."""
