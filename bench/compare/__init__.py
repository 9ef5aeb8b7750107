"""What a connect costs here and with what people would use instead, side by side in one run: `make bench`."""
