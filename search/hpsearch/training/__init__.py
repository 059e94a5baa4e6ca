"""Building, training and scoring networks: the part that imports Keras."""
