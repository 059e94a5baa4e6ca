"""The standalone script of an export: plain Keras code that loads the data, builds, trains and evaluates the winner."""
